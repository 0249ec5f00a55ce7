"""What the routes share: the chat, the request's context, and checked parameters."""

from hashlib import sha256
from typing import Annotated, cast

from chatkit.types import StreamingReq
from fastapi import Depends, Header, Path, Query, Request

from app.chat.entities import EntityLookup
from app.chat.preflight import MAX_PAGE
from app.chat.service import ChatService
from app.context import ClientContext, RequestContext, User
from app.i18n import message_language, preferred_locale
from app.security.links import Links
from app.settings import Settings
from app.store.blobs import Blobs
from app.store.engine import Database
from app.store.maintenance import Key
from app.store.user_data import Eraser


async def chat_service(request: Request) -> ChatService:
    return cast(ChatService, request.app.state.chat)


async def database(request: Request) -> Database:
    return cast(Database, request.app.state.database)


async def blobs(request: Request) -> Blobs:
    return cast(Blobs, request.app.state.blobs)


async def erasers(request: Request) -> list[Eraser]:
    return cast(list[Eraser], request.app.state.erasers)


async def entity_lookup(request: Request) -> EntityLookup:
    return cast(EntityLookup, request.app.state.entities)


async def language(request: Request) -> str:
    return message_language(request.headers.get("accept-language", ""))


async def links(request: Request) -> Links:
    return cast(Links, request.app.state.links)


Chat = Annotated[ChatService, Depends(chat_service)]
Db = Annotated[Database, Depends(database)]
Erasers = Annotated[list[Eraser], Depends(erasers)]
BlobStore = Annotated[Blobs, Depends(blobs)]
Lookup = Annotated[EntityLookup, Depends(entity_lookup)]
Language = Annotated[str, Depends(language)]
LinkSigner = Annotated[Links, Depends(links)]
Token = Annotated[str | None, Query(description="From a link that the server has given out.")]
Id = Annotated[str, Path(min_length=1, max_length=100, pattern=r"^[\w-]+$")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255, pattern=r"^[!-~ ]+$")
]
Cursor = Annotated[str | None, Query(max_length=100, pattern=r"^[\w-]+$")]


def request_context(
    request: Request, user: User, client: ClientContext | None = None
) -> RequestContext:
    """Join what the request's headers, its user and its front end say."""
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


def base_url(request: Request) -> str:
    """Return where the client reaches the server, without a slash at the end."""
    public_url = cast(Settings, request.app.state.settings).public_url
    return (public_url or str(request.base_url)).rstrip("/")


def request_key(key: str | None, request: StreamingReq, client: ClientContext) -> Key | None:
    """Bind an idempotency key to what was asked; how it is answered makes no difference."""
    if key is None:
        return None
    asked = request.model_dump_json() + client.model_dump_json()
    return Key(key, sha256(asked.encode()).hexdigest())
