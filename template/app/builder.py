"""What a feature may add to the application: the whole of the contract for `install(builder)`."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from agents import Tool
from fastapi import APIRouter

from app.agents.agent import ToolSource
from app.agents.kit import ToolCreator
from app.agents.team import Specialist
from app.chat.actions import AnyAction
from app.chat.attachments import Attachments
from app.chat.client_tools import ClientTool
from app.chat.entities import Entities
from app.chat.sweeper import Sweep
from app.http.health import HealthCheck
from app.security.links import Links
from app.settings import Settings
from app.store.blobs import Blobs
from app.store.engine import Database
from app.store.migrate import Migrations
from app.store.user_data import Eraser

Resource = Callable[[], AbstractAsyncContextManager[object]]


class Builder:
    """Collects what the features add. `settings` and the other arguments are there to be used."""

    def __init__(self, settings: Settings, database: Database, blobs: Blobs, links: Links) -> None:
        self.settings = settings
        self.database = database
        self.blobs = blobs
        self.links = links
        self.attachments: Attachments | None = None
        self.routers: list[APIRouter] = []
        self.tools: list[Tool] = []
        self.tool_creators: list[ToolCreator] = []
        self.tool_sources: list[ToolSource] = []
        self.parallel_tool_calls: bool | None = None
        self.actions: list[AnyAction] = []
        self.client_tools: list[ClientTool] = []
        self.entities: list[Entities] = []
        self.specialists: list[Specialist] = []
        self.migrations: list[Migrations] = []
        self.health_checks: list[HealthCheck] = []
        self.sweeps: list[Sweep] = []
        self.erasers: list[Eraser] = []
        self.body_limits: dict[str, int] = {}
        self._resources: list[Resource] = []

    def add_router(self, router: APIRouter) -> None:
        """Serve the router's routes."""
        self.routers.append(router)

    def add_tools(self, *tools: Tool) -> None:
        """Give the assistant tools."""
        self.tools.extend(tools)

    def add_tool_creator(self, create: ToolCreator) -> None:
        """Give the assistant a tool that has an agent of its own, which the function makes."""
        self.tool_creators.append(create)

    def add_tool_source(self, source: ToolSource, *, parallel: bool = True) -> None:
        """Ask the function for tools before each request to the model.

        Where they are not `parallel`, the model is asked for one call of a tool at a time.
        """
        self.tool_sources.append(source)
        if not parallel:
            self.parallel_tool_calls = False

    def add_actions(self, *actions: AnyAction) -> None:
        """Handle actions of widgets."""
        self.actions.extend(actions)

    def add_client_tools(self, *tools: ClientTool) -> None:
        """Declare tools that the front end runs."""
        self.client_tools.extend(tools)

    def add_entities(self, entities: Entities) -> None:
        """Let messages name the feature's things with `@`, and answers cite them."""
        self.entities.append(entities)

    def add_specialist(self, specialist: Specialist) -> None:
        """Have the assistant hand off to another agent, which the function makes of a kit."""
        self.specialists.append(specialist)

    def add_migrations(self, migrations: Migrations) -> None:
        """Bring the feature's tables up to date with the core's."""
        self.migrations.append(migrations)

    def add_health_check(self, check: HealthCheck) -> None:
        """List the check in `/health/ready`."""
        self.health_checks.append(check)

    def add_sweep(self, sweep: Sweep) -> None:
        """Call the function now and then, to clear away what nobody needs any more."""
        self.sweeps.append(sweep)

    def add_eraser(self, eraser: Eraser) -> None:
        """Call the function when a user's data is erased, for what is not in the database."""
        self.erasers.append(eraser)

    def add_body_limit(self, path: str, max_bytes: int) -> None:
        """Take larger bodies at the path and below it than `MAX_BODY_BYTES` allows elsewhere."""
        self.body_limits[path] = max_bytes

    def set_attachments(self, attachments: Attachments) -> None:
        """Let messages have attachments. Only one feature can do that.

        Raises:
            ValueError: another feature did it already.
        """
        if self.attachments is not None:
            raise ValueError("two features give messages attachments: leave one out")
        self.attachments = attachments

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
