"""The services that the routes use, in one typed object: `app.state.services`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from anyio import CapacityLimiter
from fastapi import FastAPI
from starlette.requests import HTTPConnection

from chatkit_engine.assistant.entities import EntityLookup
from chatkit_engine.fair_slots import FairSlots
from chatkit_engine.observability.health import HealthCheck
from chatkit_engine.security.authentication import Authenticator
from chatkit_engine.security.links import Links
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.blobs import Blobs
from chatkit_engine.store.database import Database
from chatkit_engine.store.user_data import Eraser
from chatkit_engine.turns.service import ChatService

# Answers with many rows that are read and sent at once. A row's bytes are in memory until then.
MAX_READS = 100
MAX_USER_READS = 3


@dataclass
class Services:
    """The application's services. `chat` and `health_checks` are set when it has started."""

    settings: Settings
    database: Database
    blobs: Blobs
    links: Links
    authenticator: Authenticator
    entities: EntityLookup
    erasers: Sequence[Eraser] = ()
    # One at a time: parsing holds the interpreter's lock, so more threads only delay the loop.
    parser_threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    reads: FairSlots = field(default_factory=lambda: FairSlots(MAX_READS, MAX_USER_READS))
    chat: ChatService | None = None
    health_checks: Sequence[HealthCheck] = field(default_factory=tuple[HealthCheck, ...])


def services_of(source: HTTPConnection | FastAPI) -> Services:
    """Return the services of an application, or of a request's application."""
    app = source if isinstance(source, FastAPI) else source.app
    return cast(Services, app.state.services)
