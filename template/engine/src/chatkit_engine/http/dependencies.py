"""Dependencies of routes: the user, the application's services, and validated parameters.

A route requires a user by depending on `CurrentUser`. A route that accepts a form with a file
depends on `UploadingUser` instead. They differ in the content type that they accept, because a page
of another origin can send a form without asking the server first (CORS).
"""

from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from hashlib import sha256
from typing import Annotated

from chatkit.types import StreamingReq
from fastapi import Depends, Header, Path, Query, Request

from chatkit_engine.assistant.entities import EntityLookup
from chatkit_engine.context import ClientContext, RequestContext, User
from chatkit_engine.http.services import services_of
from chatkit_engine.i18n import message_language, preferred_locale
from chatkit_engine.security.authentication import is_local_host
from chatkit_engine.security.links import Links
from chatkit_engine.store.blobs import Blobs
from chatkit_engine.store.database import Database
from chatkit_engine.store.leases import RequestKey
from chatkit_engine.store.user_data import Eraser
from chatkit_engine.turns.limits import MAX_PAGE
from chatkit_engine.turns.service import ChatService

JSON = ("application/json",)
FORM = ("multipart/form-data",)
# In a request's state: what is held until its answer has been sent.
HELD = "chatkit_held"


async def authenticate(request: Request, media_types: Collection[str]) -> User:
    """Return the request's user. It is asked for once before the body and once by the route."""
    known: User | None = getattr(request.state, "chatkit_user", None)
    if known is None:
        known = await services_of(request).authenticator.authenticate(request, media_types)
        request.state.chatkit_user = known
    return known


# Dependencies are coroutines, because FastAPI runs plain functions in threads.
async def current_user(request: Request) -> User:
    return await authenticate(request, JSON)


async def uploading_user(request: Request) -> User:
    return await authenticate(request, FORM)


# What the routes accept that depend on these.
MEDIA_TYPES: dict[object, Collection[str]] = {current_user: JSON, uploading_user: FORM}


async def share_reads(request: Request) -> None:
    """Wait until the user is reading little else, and count this until the answer has been sent."""
    user = await authenticate(request, JSON)
    held: AsyncExitStack = getattr(request.state, HELD)
    await held.enter_async_context(services_of(request).reads.hold(user.id))


async def chat_service(request: Request) -> ChatService:
    chat = services_of(request).chat
    assert chat is not None, "the application has not started"
    return chat


async def database(request: Request) -> Database:
    return services_of(request).database


async def blobs(request: Request) -> Blobs:
    return services_of(request).blobs


async def erasers(request: Request) -> Sequence[Eraser]:
    return services_of(request).erasers


async def entity_lookup(request: Request) -> EntityLookup:
    return services_of(request).entities


async def language(request: Request) -> str:
    return message_language(request.headers.get("accept-language", ""))


async def links(request: Request) -> Links:
    return services_of(request).links


CurrentUser = Annotated[User, Depends(current_user)]
UploadingUser = Annotated[User, Depends(uploading_user)]
Chat = Annotated[ChatService, Depends(chat_service)]
Db = Annotated[Database, Depends(database)]
Erasers = Annotated[Sequence[Eraser], Depends(erasers)]
BlobStore = Annotated[Blobs, Depends(blobs)]
Lookup = Annotated[EntityLookup, Depends(entity_lookup)]
Language = Annotated[str, Depends(language)]
LinkSigner = Annotated[Links, Depends(links)]
Token = Annotated[str | None, Query(description="The token of a signed link.")]
Id = Annotated[str, Path(min_length=1, max_length=100, pattern=r"^[\w-]+$")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Cursor = Annotated[str | None, Query(max_length=100, pattern=r"^[\w-]+$")]
FairRead = Depends(share_reads)
IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255, pattern=r"^[!-~ ]+$")
]


def request_context(
    request: Request, user: User, client: ClientContext | None = None
) -> RequestContext:
    """Return the context of a request, from its headers, its user and the front end's context."""
    client = client or ClientContext()
    accept_language = request.headers.get("accept-language", "")
    return RequestContext(
        user=user,
        page_context=client.page_context,
        selected_text=client.selected_text,
        timezone=client.timezone,
        client_tools=client.client_tools,
        locale=preferred_locale(accept_language),
        language=message_language(accept_language),
        request_id=request.state.request_id,
        base_url=base_url(request),
    )


def base_url(request: Request) -> str | None:
    """Return the URL at which the client reaches the server, without a trailing slash.

    Without `PUBLIC_URL` it is known only on this machine, because a client can name any host.
    """
    url = services_of(request).settings.public_url
    if url is None and is_local_host(request):
        url = str(request.base_url)
    return url and url.rstrip("/")


def request_key(key: str | None, request: StreamingReq, client: ClientContext) -> RequestKey | None:
    """Return the idempotency key with a fingerprint of the request.

    The response format is not part of it: a client may ask for a stream first, and for JSON later.
    """
    if key is None:
        return None
    content = request.model_dump_json() + client.model_dump_json()
    return RequestKey(key, sha256(content.encode()).hexdigest())
