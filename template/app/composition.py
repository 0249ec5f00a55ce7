"""The only place that wires: `create_app`, and the lifespan of what it holds."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import structlog
from agents import set_tracing_disabled, set_tracing_export_api_key
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.types import Lifespan

from app.agents.guardrails import create_guardrails
from app.agents.image_generation import image_tools
from app.agents.kit import AgentKit
from app.agents.team import create_team
from app.builder import Builder
from app.chat.actions import Actions
from app.chat.assistant import Assistant
from app.chat.client_tools import ClientTools
from app.chat.converter import Converter
from app.chat.entities import EntityLookup
from app.chat.history import History
from app.chat.images import Images
from app.chat.metering import Meter
from app.chat.service import ChatService
from app.chat.sweeper import Sweeper
from app.chat.thread_entities import ThreadEntities
from app.chat.titles import Titles
from app.errors import add_error_handlers
from app.features import install_features
from app.http import chat, chatkit, entities, health, images, threads, usage, user_data
from app.http.body_limit import BodyLimitMiddleware
from app.http.health import Check, HealthCheck
from app.http.request_id import HEADER, RequestIdMiddleware
from app.observability.logs import configure_logging
from app.providers import ChatModel, create_model
from app.security.authentication import create_authenticator
from app.security.links import Links
from app.settings import Settings
from app.store.blobs import Blobs
from app.store.databases import open_database
from app.store.dead_blobs import bury_blobs
from app.store.migrate import CORE, pending, upgrade
from app.store.presence import Presence
from app.tools import discover_client_tools, discover_tool_creators, discover_tools
from app.widgets import discover_actions

log = structlog.stdlib.get_logger(__name__)

ROUTERS = (
    chatkit.router,
    chat.router,
    threads.router,
    entities.router,
    usage.router,
    images.router,
    user_data.router,
    health.router,
)

# What a page on another origin may read of an answer.
EXPOSED = (HEADER, "Retry-After", "Idempotent-Replayed")


class Application:
    """The application's parts, made without touching the network or the disk's contents."""

    def __init__(self, settings: Settings, model: ChatModel | None = None) -> None:
        self.settings = settings
        self.database = open_database(settings)
        self.blobs = Blobs(settings)
        self.presence = Presence(self.database.file)
        self.links = Links(settings)
        self.builder = Builder(settings, self.database, self.blobs, self.links)
        self.builder.add_sweep(partial(bury_blobs, self.database, self.blobs))
        install_features(self.builder)
        self.entities = EntityLookup([ThreadEntities(self.database), *self.builder.entities])
        self.migrations = [CORE, *self.builder.migrations]
        self._given_model = model

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[ChatService]:
        """Start what the chat needs, and end it in the opposite order, saving running turns."""
        model = self._given_model or create_model(self.settings)
        if model.notice:
            log.warning(model.notice)
        self._configure_tracing()
        await self.migrate()
        self.presence.announce()
        self.model = model
        try:
            async with self.builder.resources():
                assistant = self._assistant(model)
                service = ChatService(self.database, self.presence, assistant, self.blobs)
                sweeper = Sweeper(self.database, self.settings, self.builder.sweeps)
                try:
                    async with sweeper.running():
                        yield service
                finally:
                    await service.turns.drain(grace_seconds=0)
                    if assistant.titles:
                        await assistant.titles.aclose()
        finally:
            await model.close()
            await self.blobs.aclose()
            await self.database.aclose()
            self.presence.withdraw()

    def health_checks(self, service: ChatService) -> list[HealthCheck]:
        async def accepting() -> Check:
            draining = service.turns.draining
            return Check(name="accepting", ok=not draining, detail="restarting" * draining)

        async def database() -> Check:
            await self.database.write(lambda connection: connection.exec_driver_sql("SELECT 1"))
            return Check(name="database", ok=True)

        async def migrations() -> Check:
            waiting = await pending(self.database, self.migrations)
            advice = f"run `migrate`; not applied yet: {', '.join(waiting)}"
            return Check(name="migrations", ok=not waiting, detail=advice if waiting else "")

        async def model() -> Check:
            detail = self.model.trouble() or self.model.notice or self.model.name
            return Check(name="model", ok=True, detail=detail)

        return [accepting, database, migrations, model, *self.builder.health_checks]

    async def migrate(self) -> None:
        """Apply migrations in development; production runs `migrate` when it chooses to."""
        if not self.settings.is_production:
            applied = await upgrade(self.database, self.migrations)
            if applied:
                log.info("migrated the database", applied=applied)

    def _configure_tracing(self) -> None:
        """The Agents SDK exports every run to OpenAI unless it is told not to."""
        key = self.settings.openai_api_key
        enabled = self.settings.llm_tracing and key is not None
        set_tracing_disabled(not enabled)
        if enabled and key:
            set_tracing_export_api_key(key.get_secret_value())

    def _assistant(self, model: ChatModel) -> Assistant:
        settings, builder = self.settings, self.builder
        tools = [*discover_tools(), *builder.tools, *image_tools(settings)]
        meter = Meter(settings.llm_prices)
        kit = AgentKit(model, tools, settings.tool_timeout_seconds)
        kit = replace(
            kit,
            tool_sources=builder.tool_sources,
            parallel_tool_calls=builder.parallel_tool_calls,
        )
        kit = kit.with_tools([*discover_tool_creators(), *builder.tool_creators])
        return Assistant(
            agents=create_team(kit, builder.specialists),
            database=self.database,
            converter=Converter(),
            meter=meter,
            history=History(settings.history_max_tokens),
            images=Images(self.database, self.blobs, self.links, settings),
            titles=Titles(model, self.database, meter) if settings.thread_titles else None,
            attachments=builder.attachments,
            actions=Actions([*discover_actions(), *builder.actions]),
            client_tools=ClientTools([*discover_client_tools(), *builder.client_tools]),
            entities=self.entities,
            guardrails=create_guardrails(settings),
            models={name: model.named(name) for name in {model.name, *settings.llm_models}},
            transcribe=model.transcribe,
            image_domains=settings.allowed_image_domains or None,
            max_model_calls=settings.max_model_calls,
            max_handoffs=settings.max_handoffs,
        )


def create_app(settings: Settings, model: ChatModel | None = None) -> FastAPI:
    """Return the ASGI application. `model` takes the place of the one the settings ask for."""
    configure_logging(settings)
    application = Application(settings, model)
    app = FastAPI(
        title=settings.project_name,
        lifespan=_lifespan(application),
        docs_url=None if settings.is_production else "/docs",
        redoc_url=None,
        openapi_url=None if settings.is_production else "/openapi.json",
    )
    app.state.settings = settings
    app.state.database = application.database
    app.state.blobs = application.blobs
    app.state.erasers = application.builder.erasers
    app.state.entities = application.entities
    app.state.links = application.links
    app.state.authenticator = create_authenticator(settings)
    add_error_handlers(app)
    for router in (*ROUTERS, *application.builder.routers):
        app.include_router(router)
    app.add_middleware(
        BodyLimitMiddleware,
        max_bytes=settings.max_body_bytes,
        by_path=application.builder.body_limits,
    )
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_credentials=True,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=EXPOSED,
    )
    app.add_middleware(RequestIdMiddleware)
    return app


def _lifespan(application: Application) -> Lifespan[FastAPI]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with application.running() as service:
            app.state.chat = service
            app.state.health_checks = application.health_checks(service)
            yield

    return lifespan
