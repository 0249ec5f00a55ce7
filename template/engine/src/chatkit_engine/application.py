"""Builds the application: `create_app` connects all parts; nothing else does."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog
from agents import FunctionTool, set_tracing_disabled, set_tracing_export_api_key
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Lifespan

from chatkit_engine import discovery
from chatkit_engine.assistant.actions import Actions, SyncAction, WidgetAction
from chatkit_engine.assistant.agent_factory import AgentFactory, assistant_creator, create_team
from chatkit_engine.assistant.client_tools import ClientTool, ClientTools
from chatkit_engine.assistant.entities import EntityLookup
from chatkit_engine.assistant.guardrails import create_guardrails
from chatkit_engine.builder import Builder
from chatkit_engine.errors import add_error_handlers
from chatkit_engine.http import chat, chatkit, entities, files, health, threads, usage, user_data
from chatkit_engine.http.bodies import BodyLimitMiddleware
from chatkit_engine.http.guard import BodyGuardMiddleware
from chatkit_engine.http.middleware import (
    DOCS_PATH,
    REQUEST_ID_HEADER,
    RequestIdMiddleware,
    SecurityHeadersMiddleware,
)
from chatkit_engine.http.services import Services, services_of
from chatkit_engine.i18n import add_translations
from chatkit_engine.models.chat_model import ChatModel
from chatkit_engine.models.registry import create_model
from chatkit_engine.observability.health import HealthCheck, HealthStatus, SharedCheck
from chatkit_engine.observability.logs import configure_logging
from chatkit_engine.run.conversion import Converter
from chatkit_engine.run.history import History
from chatkit_engine.run.images import Images, image_tools
from chatkit_engine.run.runtime import Runtime
from chatkit_engine.run.thread_entities import ThreadEntities
from chatkit_engine.run.titles import Titles
from chatkit_engine.run.usage import Meter
from chatkit_engine.security.authentication import create_authenticator
from chatkit_engine.security.links import Links
from chatkit_engine.settings.base import SetupError
from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.env_file import unread_names
from chatkit_engine.store.blob_cleanup import delete_dead_blobs
from chatkit_engine.store.blobs import Blobs
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.migrate import CORE, pending, upgrade
from chatkit_engine.store.process_lock import ProcessLock
from chatkit_engine.turns.admission import Admission
from chatkit_engine.turns.service import ChatService
from chatkit_engine.turns.sweeper import Sweeper

log = structlog.stdlib.get_logger(__name__)

# What a page on another origin may read of a response.
EXPOSED_HEADERS = (REQUEST_ID_HEADER, "Retry-After", "Idempotent-Replayed")
ROUTERS = (
    chatkit.router,
    chat.router,
    threads.router,
    entities.router,
    usage.router,
    files.router,
    user_data.router,
    health.router,
)


def create_app(settings: Settings, app: str = "app", *, model: ChatModel | None = None) -> FastAPI:
    """Return the ASGI application.

    `app` is the name of the package whose tools, agents, widgets and features are discovered.
    `model` replaces the one that the settings name, for example in tests.

    Raises:
        SetupError: the settings refer to a hook that is not set.
        OSError: the folder of a SQLite database cannot be created.
    """
    configure_logging(settings)
    application = Application(settings, app, model)
    builder = application.builder
    api = Api(
        title=settings.project_name,
        lifespan=_lifespan(application),
        docs_url=None if settings.is_production else DOCS_PATH,
        redoc_url=None,
        openapi_url=None if settings.is_production else "/openapi.json",
    )
    api.state.services = application.services()
    add_error_handlers(api)
    for router in (*ROUTERS, *builder.routers):
        api.include_router(router)
    api.add_middleware(BodyGuardMiddleware, memory_bytes=settings.max_bodies_bytes)
    for middleware, options in builder.middlewares:
        api.add_middleware(middleware, **options)
    api.add_middleware(
        BodyLimitMiddleware,
        max_bytes=settings.max_body_bytes,
        by_path=builder.body_limits,
        seconds=settings.body_timeout_seconds,
    )
    api.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_credentials=True,
        allow_methods=["*"],
        allow_headers=["*"],
        allow_private_network=True,
        expose_headers=EXPOSED_HEADERS,
    )
    api.add_middleware(RequestIdMiddleware)
    return api


class Api(FastAPI):
    """FastAPI with security headers on every answer.

    Middlewares that are added are inside of what answers an unexpected error with a 500.
    """

    def build_middleware_stack(self) -> ASGIApp:
        return SecurityHeadersMiddleware(super().build_middleware_stack())


class Application:
    """The application's parts. Creating them does not use the network or read the database."""

    def __init__(self, settings: Settings, app: str, model: ChatModel | None = None) -> None:
        self.settings = settings
        self.database = open_database(settings)
        self.blobs = Blobs(settings)
        self.process_lock = ProcessLock(self.database.file)
        self.links = Links(settings)
        self.builder = Builder(app, settings, self.database, self.blobs, self.links)
        self.builder.add_sweep(partial(delete_dead_blobs, self.database, self.blobs))
        install(self.builder)
        check_setup(self.builder)
        self.entities = EntityLookup([ThreadEntities(self.database), *self.builder.entities])
        self.authenticator = self.builder.authenticator or create_authenticator(settings)
        self.migrations = [CORE, *self.builder.migrations]
        self._given_model = model

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[ChatService]:
        """Start what the chat needs; stop it in reverse order and save the running turns."""
        model = self._given_model or self.create_model()
        if model.notice:
            log.warning(model.notice)
        self._configure_tracing()
        await self.migrate()
        self.process_lock.acquire()
        self.model = model
        try:
            async with self.builder.resources():
                runtime = self._runtime(model)
                admission = Admission(self.settings.max_turns, self.settings.max_user_turns)
                service = ChatService(
                    self.database, self.process_lock, runtime, self.blobs, admission
                )
                sweeper = Sweeper(self.database, self.settings, self.builder.sweeps)
                try:
                    async with sweeper.running():
                        yield service
                finally:
                    await service.turns.drain(grace_seconds=0)
                    if runtime.titles:
                        await runtime.titles.aclose()
        finally:
            await model.close()
            await self.blobs.aclose()
            await self.database.aclose()
            self.process_lock.release()

    def create_model(self) -> ChatModel:
        """Return the model of the application's hook, or else the one that the settings name."""
        create = self.builder.create_model or create_model
        return create(self.settings)

    def health_checks(self, service: ChatService) -> list[HealthCheck]:
        """Return the checks of `/health/ready`. A model that is down does not fail its check.

        Every process would fail it at once, and a restart does not help.
        """

        async def accepting() -> HealthStatus:
            draining = service.turns.draining
            return HealthStatus(name="accepting", ok=not draining, detail="restarting" * draining)

        async def database() -> HealthStatus:
            problem = await self.database.problem()
            return HealthStatus(name="database", ok=not problem, detail=problem)

        async def files() -> HealthStatus:
            problem = await self.blobs.problem()
            return HealthStatus(name="files", ok=not problem, detail=problem)

        async def migrations() -> HealthStatus:
            waiting = await pending(self.database, self.migrations)
            advice = f"run `migrate`; pending: {', '.join(waiting)}"
            return HealthStatus(name="migrations", ok=not waiting, detail=advice if waiting else "")

        async def model() -> HealthStatus:
            detail = self.model.problem() or self.model.notice or self.model.name
            return HealthStatus(name="model", ok=True, detail=detail)

        stored = (SharedCheck(database), SharedCheck(migrations))
        return [accepting, *stored, model, *map(SharedCheck, (files, *self.builder.health_checks))]

    async def migrate(self) -> None:
        """Apply migrations in development. In production the operator runs `migrate`."""
        if not self.settings.is_production:
            applied = await upgrade(self.database, self.migrations)
            if applied:
                log.info("migrated the database", applied=applied)

    def services(self) -> Services:
        """Return what the routes use. The chat is added when the application starts."""
        return Services(
            settings=self.settings,
            database=self.database,
            blobs=self.blobs,
            links=self.links,
            authenticator=self.authenticator,
            entities=self.entities,
            erasers=self.builder.erasers,
        )

    def _configure_tracing(self) -> None:
        # By default, the Agents SDK sends traces of every run to OpenAI.
        key = self.settings.openai_api_key
        enabled = self.settings.llm_tracing and key is not None
        set_tracing_disabled(not enabled)
        if enabled and key:
            set_tracing_export_api_key(key.get_secret_value())

    def _runtime(self, model: ChatModel) -> Runtime:
        settings, builder = self.settings, self.builder
        meter = Meter(settings.llm_prices)
        history = History(settings.history_max_tokens)
        factory = AgentFactory(
            model,
            [*builder.tools, *image_tools(settings)],
            settings.tool_timeout_seconds,
            builder.tool_sources,
            builder.parallel_tool_calls,
        ).with_tools(builder.tool_creators)
        create_assistant = builder.create_assistant or assistant_creator(builder.instructions)
        titles = Titles(model, self.database, meter, builder.title_writer)
        return Runtime(
            agents=create_team(factory, create_assistant, builder.specialists),
            database=self.database,
            converter=Converter(),
            meter=meter,
            history=history,
            history_policy=builder.history_policy or history,
            images=Images(self.database, self.blobs, self.links, settings),
            titles=titles if settings.thread_titles else None,
            attachments=builder.attachments,
            actions=Actions(builder.actions),
            client_tools=ClientTools(builder.client_tools),
            entities=self.entities,
            guardrails=create_guardrails(
                settings, builder.input_guardrails, builder.output_guardrails
            ),
            models={name: model.named(name) for name in {model.name, *settings.llm_models}},
            transcribe=model.transcribe,
            image_domains=settings.allowed_image_domains or None,
            max_model_calls=settings.max_model_calls,
            max_handoffs=settings.max_handoffs,
            max_user_storage_bytes=settings.max_user_storage_bytes,
        )


def check_setup(builder: Builder) -> None:
    """Check that the hooks exist that the settings refer to, and the reverse.

    Raises:
        SetupError: a hook or a setting is missing.
    """
    if builder.settings.auth_mode == "app" and builder.authenticator is None:
        raise SetupError("AUTH_MODE=app needs an authenticator: call builder.set_authenticator")
    if builder.settings.llm_provider == "app" and builder.create_model is None:
        raise SetupError("LLM_PROVIDER=app needs a model: call builder.set_model")
    settings = builder.settings
    # A misspelt DATABASE_URL would mean another database.
    if settings.is_production and (problems := unread_names(settings.env_ignore)):
        raise SetupError("\n".join((*problems, "Correct or remove them, or set ENV_IGNORE.")))
    has_links = builder.attachments is not None or settings.image_generation
    if has_links and settings.is_production and settings.public_url is None:
        raise SetupError(
            "PUBLIC_URL is not set: links to files begin with it. Set the URL at which clients "
            "reach the server, such as https://chat.example.com"
        )


def install(builder: Builder) -> None:
    """Add what the application's folders define, then call the hooks of it and of the features."""
    app = builder.app
    tools = [
        tool
        for package in (discovery.ENGINE, app)
        for tool in discovery.values_in(f"{package}.tools", FunctionTool)
    ]
    builder.add_tools(*sorted(tools, key=lambda tool: tool.name))
    builder.add_client_tools(*discovery.values_in(f"{app}.tools", ClientTool))
    for kind in (WidgetAction, SyncAction):
        actions: list[Any] = discovery.values_in(f"{app}.widgets", kind)
        builder.add_actions(*actions)
    for folder in ("tools", "agents"):
        for create_tool in discovery.functions_in(f"{app}.{folder}", "create_tool"):
            builder.add_tool_creator(create_tool)
    for create in discovery.functions_in(f"{app}.agents", "create"):
        builder.add_specialist(create)
    if assistant := discovery.optional_module(f"{app}.assistant"):
        assistant.install(builder)
    installed: list[str] = []
    for package in (discovery.ENGINE, app):
        for name, feature in discovery.feature_modules(package, "feature").items():
            feature.install(builder)
            installed.append(name)
    add_translations(discovery.locale_folders(app))
    log.info("features", installed=installed)


def _lifespan(application: Application) -> Lifespan[FastAPI]:
    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncGenerator[None]:
        async with application.running() as service:
            services = services_of(api)
            services.chat = service
            services.health_checks = application.health_checks(service)
            yield

    return lifespan
