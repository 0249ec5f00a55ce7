"""The hooks: everything that an application or a feature may add to the engine or replace in it.

`install(builder)` in the application's `assistant.py`, and then in each feature's `feature.py`, is
called when the application is created, before anything is connected. A hook that is set twice
keeps the last value. The README has an example of each.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from agents import Tool
from fastapi import APIRouter

from chatkit_engine.assistant.actions import AnyAction
from chatkit_engine.assistant.agent_factory import AgentCreator, ToolCreator, ToolSource
from chatkit_engine.assistant.attachments import Attachments
from chatkit_engine.assistant.client_tools import ClientTool
from chatkit_engine.assistant.entities import Entities
from chatkit_engine.assistant.guardrails import Guardrail
from chatkit_engine.assistant.instructions import Instructions
from chatkit_engine.models.chat_model import ChatModel
from chatkit_engine.observability.health import HealthCheck
from chatkit_engine.run.history import HistoryPolicy
from chatkit_engine.run.titles import TitleWriter
from chatkit_engine.security.authentication import Authenticator
from chatkit_engine.security.links import Links
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.blobs import Blobs
from chatkit_engine.store.database import Database
from chatkit_engine.store.migrate import Migrations
from chatkit_engine.store.user_data import Eraser
from chatkit_engine.turns.sweeper import Sweep

Resource = Callable[[], AbstractAsyncContextManager[object]]
ModelCreator = Callable[[Any], ChatModel]
S = TypeVar("S", bound=Settings)


class Builder:
    """Collects what is added.

    `settings`, `database` and `app`, the name of the application's package, are there to be used.
    The database is not open yet: use it in routes, tools, resources and checks.
    """

    def __init__(
        self, app: str, settings: Settings, database: Database, blobs: Blobs, links: Links
    ) -> None:
        self.app = app
        self.settings = settings
        self.database = database
        self.blobs = blobs
        self.links = links
        self.instructions: Instructions | None = None
        self.create_assistant: AgentCreator | None = None
        self.create_model: ModelCreator | None = None
        self.authenticator: Authenticator | None = None
        self.history_policy: HistoryPolicy | None = None
        self.title_writer: TitleWriter | None = None
        self.attachments: Attachments | None = None
        self.input_guardrails: list[Guardrail] = []
        self.output_guardrails: list[Guardrail] = []
        self.middlewares: list[tuple[type[Any], dict[str, Any]]] = []
        self.routers: list[APIRouter] = []
        self.tools: list[Tool] = []
        self.tool_creators: list[ToolCreator] = []
        self.tool_sources: list[ToolSource] = []
        self.parallel_tool_calls: bool | None = None
        self.actions: list[AnyAction] = []
        self.client_tools: list[ClientTool] = []
        self.entities: list[Entities] = []
        self.specialists: list[AgentCreator] = []
        self.migrations: list[Migrations] = []
        self.health_checks: list[HealthCheck] = []
        self.sweeps: list[Sweep] = []
        self.erasers: list[Eraser] = []
        self.body_limits: dict[str, int] = {}
        self._resources: list[Resource] = []

    def settings_as(self, kind: type[S]) -> S:
        """Return the settings as the application's own class.

        Raises:
            TypeError: the application was created with settings of another class.
        """
        if not isinstance(self.settings, kind):
            name = f"{kind.__module__}.{kind.__qualname__}"
            raise TypeError(f"create_app needs settings of the class {name}")
        return self.settings

    def set_instructions(self, instructions: Instructions) -> None:
        """Set the assistant's instructions: a text, or a function of the turn's `TurnContext`."""
        self.instructions = instructions

    def set_assistant(self, create: AgentCreator) -> None:
        """Use the agent that the function makes as the assistant, which takes new threads."""
        self.create_assistant = create

    def set_model(self, create: ModelCreator) -> None:
        """Use the model that the function makes of the settings, whatever `LLM_PROVIDER` says.

        `LLM_PROVIDER=app` says that no provider needs to be set.
        """
        self.create_model = create

    def set_authenticator(self, authenticator: Authenticator) -> None:
        """Use this login, whatever `AUTH_MODE` says.

        `AUTH_MODE=app` lets the application start in production and on other hosts than loopback.
        """
        self.authenticator = authenticator

    def set_history_policy(self, policy: HistoryPolicy) -> None:
        """Let this choose what the model reads of a thread, instead of `HISTORY_MAX_TOKENS`."""
        self.history_policy = policy

    def set_title_writer(self, write: TitleWriter) -> None:
        """Give threads the titles that the function returns; an empty one gives none.

        `THREAD_TITLES=false` switches titles off altogether.
        """
        self.title_writer = write

    def add_input_guardrail(self, check: Guardrail) -> None:
        """Check each message before the model is called. A returned text is shown as the answer."""
        self.input_guardrails.append(check)

    def add_output_guardrail(self, check: Guardrail) -> None:
        """Check each whole answer. A returned text is shown in its place."""
        self.output_guardrails.append(check)

    def add_middleware(self, middleware: type[Any], **options: Any) -> None:
        """Wrap the application in an ASGI middleware; the one added last is the outermost."""
        self.middlewares.append((middleware, options))

    def add_router(self, router: APIRouter) -> None:
        """Serve the router's routes."""
        self.routers.append(router)

    def add_tools(self, *tools: Tool) -> None:
        """Give the assistant tools."""
        self.tools.extend(tools)

    def add_tool_creator(self, create: ToolCreator) -> None:
        """Give the assistant a tool that the function makes, for example one with an agent."""
        self.tool_creators.append(create)

    def add_tool_source(self, source: ToolSource, *, parallel: bool = True) -> None:
        """Ask the function for tools before each request to the model.

        It is given the `TurnContext`, so that tools may depend on the user. Unless they are
        `parallel`, the model is asked for one tool call at a time.
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
        """Let messages name things with `@`, and answers cite them."""
        self.entities.append(entities)

    def add_specialist(self, specialist: AgentCreator) -> None:
        """Let the assistant hand off to the agent that the function makes."""
        self.specialists.append(specialist)

    def add_migrations(self, migrations: Migrations) -> None:
        """Migrate these tables together with the engine's."""
        self.migrations.append(migrations)

    def add_health_check(self, check: HealthCheck) -> None:
        """List the check in `/health/ready`."""
        self.health_checks.append(check)

    def add_sweep(self, sweep: Sweep) -> None:
        """Call the function once a minute, to delete what is no longer needed."""
        self.sweeps.append(sweep)

    def add_eraser(self, eraser: Eraser) -> None:
        """Call the function when a user's data is erased, for what is not in the database."""
        self.erasers.append(eraser)

    def add_body_limit(self, path: str, max_bytes: int) -> None:
        """Accept larger bodies at and below the path than `MAX_BODY_BYTES` allows elsewhere."""
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
