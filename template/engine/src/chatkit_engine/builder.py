"""The hooks: everything that an application or a feature can add to the engine or replace in it.

`install(builder)` in the application's `assistant.py` and in each feature's `feature.py` is called
once, before any connection is opened.
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
    """Collects what the application and its features add.

    Hooks may use `settings`, `database`, `blobs` and `links`. `app` is the name of the
    application's package.
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
        """Return the settings as the application's own `Settings` class.

        Raises:
            TypeError: `create_app` was called with settings of another class.
        """
        if not isinstance(self.settings, kind):
            name = f"{kind.__module__}.{kind.__qualname__}"
            raise TypeError(f"create_app needs settings of the class {name}")
        return self.settings

    def set_instructions(self, instructions: Instructions) -> None:
        """Set the assistant's instructions: a text, or a function of the turn's `TurnContext`."""
        self.instructions = instructions

    def set_assistant(self, create: AgentCreator) -> None:
        """Set the function that creates the assistant, the agent that every turn starts with."""
        self.create_assistant = create

    def set_model(self, create: ModelCreator) -> None:
        """Set the function that creates the model from the settings, in place of `LLM_PROVIDER`."""
        self.create_model = create

    def set_authenticator(self, authenticator: Authenticator) -> None:
        """Set what authenticates requests. It overrides `AUTH_MODE`."""
        self.authenticator = authenticator

    def set_history_policy(self, policy: HistoryPolicy) -> None:
        """Set what selects a thread's items for the model. It replaces `HISTORY_MAX_TOKENS`."""
        self.history_policy = policy

    def set_title_writer(self, write: TitleWriter) -> None:
        """Set the function that writes titles. A thread gets no title if it returns an empty one.

        It is not called if `THREAD_TITLES=false`.
        """
        self.title_writer = write

    def add_input_guardrail(self, check: Guardrail) -> None:
        """Check each message before the model is called. A returned text becomes the answer."""
        self.input_guardrails.append(check)

    def add_output_guardrail(self, check: Guardrail) -> None:
        """Check each complete answer. A returned text replaces it."""
        self.output_guardrails.append(check)

    def add_middleware(self, middleware: type[Any], **options: Any) -> None:
        """Wrap the application in an ASGI middleware. The last one added is the outermost."""
        self.middlewares.append((middleware, options))

    def add_router(self, router: APIRouter) -> None:
        """Add routes."""
        self.routers.append(router)

    def add_tools(self, *tools: Tool) -> None:
        """Add tools for the assistant."""
        self.tools.extend(tools)

    def add_tool_creator(self, create: ToolCreator) -> None:
        """Add a tool that needs the agent factory, for example an agent used as a tool."""
        self.tool_creators.append(create)

    def add_tool_source(self, source: ToolSource, *, parallel: bool = True) -> None:
        """Call the function with the `TurnContext` for tools before each request to the model.

        `parallel=False` limits the model to one tool call at a time.
        """
        self.tool_sources.append(source)
        if not parallel:
            self.parallel_tool_calls = False

    def add_actions(self, *actions: AnyAction) -> None:
        """Add handlers of widget actions."""
        self.actions.extend(actions)

    def add_client_tools(self, *tools: ClientTool) -> None:
        """Add tools that the front end runs."""
        self.client_tools.extend(tools)

    def add_entities(self, entities: Entities) -> None:
        """Add a kind of entities, which messages can mention with `@` and answers can cite."""
        self.entities.append(entities)

    def add_specialist(self, specialist: AgentCreator) -> None:
        """Add an agent that the assistant can hand off to."""
        self.specialists.append(specialist)

    def add_migrations(self, migrations: Migrations) -> None:
        """Add tables. They are migrated together with the engine's."""
        self.migrations.append(migrations)

    def add_health_check(self, check: HealthCheck) -> None:
        """Add a check to `/health/ready`."""
        self.health_checks.append(check)

    def add_sweep(self, sweep: Sweep) -> None:
        """Call the function once a minute, for example to delete what has expired."""
        self.sweeps.append(sweep)

    def add_eraser(self, eraser: Eraser) -> None:
        """Call the function when a user's data is erased, to delete what is not in the database."""
        self.erasers.append(eraser)

    def add_body_limit(self, path: str, max_bytes: int) -> None:
        """Replace `MAX_BODY_BYTES` for requests to this path and the paths below it."""
        self.body_limits[path] = max_bytes

    def set_attachments(self, attachments: Attachments) -> None:
        """Enable attachments in messages.

        Raises:
            ValueError: another feature has enabled them.
        """
        if self.attachments is not None:
            raise ValueError("two features call `set_attachments`: remove one of them")
        self.attachments = attachments

    def add_resource(self, resource: Resource) -> None:
        """Enter a context manager when the application starts, and exit it when it stops."""
        self._resources.append(resource)

    @asynccontextmanager
    async def resources(self) -> AsyncGenerator[None]:
        """Enter all resources in the order in which they were added, and exit them in reverse."""
        async with AsyncExitStack() as stack:
            for resource in self._resources:
                await stack.enter_async_context(resource())
            yield
