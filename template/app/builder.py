"""What a feature may add to the application: the whole of the contract for `install(builder)`."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from agents import Tool
from fastapi import APIRouter

from app.http.health import HealthCheck
from app.settings import Settings
from app.store.engine import Database
from app.store.migrate import Migrations

Resource = Callable[[], AbstractAsyncContextManager[object]]


class Builder:
    """Collects what the features add. `settings` and `database` are there for them to use."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.routers: list[APIRouter] = []
        self.tools: list[Tool] = []
        self.migrations: list[Migrations] = []
        self.health_checks: list[HealthCheck] = []
        self._resources: list[Resource] = []

    def add_router(self, router: APIRouter) -> None:
        """Serve the router's routes."""
        self.routers.append(router)

    def add_tools(self, *tools: Tool) -> None:
        """Give the assistant tools."""
        self.tools.extend(tools)

    def add_migrations(self, migrations: Migrations) -> None:
        """Bring the feature's tables up to date with the core's."""
        self.migrations.append(migrations)

    def add_health_check(self, check: HealthCheck) -> None:
        """List the check in `/health/ready`."""
        self.health_checks.append(check)

    def add_resource(self, resource: Resource) -> None:
        """Enter the context manager when the application starts, and leave it when it stops."""
        self._resources.append(resource)

    @asynccontextmanager
    async def resources(self) -> AsyncGenerator[None]:
        """Hold every resource, in the order in which they were added."""
        async with AsyncExitStack() as stack:
            for resource in self._resources:
                await stack.enter_async_context(resource())
            yield
