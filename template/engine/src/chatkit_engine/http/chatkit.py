"""`POST /chatkit`: the ChatKit protocol."""

from chatkit.types import (
    ChatKitReq,
    ErrorEvent,
    ItemsListReq,
    ThreadsGetByIdReq,
    ThreadsListReq,
    is_streaming_req,
)
from fastapi import APIRouter, Request, Response

from chatkit_engine.context import ClientContext
from chatkit_engine.errors import StorageFull, ThreadBusy, UnsupportedMediaType
from chatkit_engine.http.dependencies import (
    JSON,
    Chat,
    CurrentUser,
    IdempotencyKey,
    request_context,
    request_key,
    share_reads,
)
from chatkit_engine.http.json_bodies import is_json, media_type_of, off_loop_if_large
from chatkit_engine.http.services import services_of
from chatkit_engine.http.streaming import HEADERS, MEDIA_TYPE, TurnStream
from chatkit_engine.i18n import _, translate
from chatkit_engine.turns.requests import parse_request

router = APIRouter(tags=["chatkit"])


@router.post("/chatkit", response_class=Response)
async def chatkit(
    request: Request, user: CurrentUser, chat: Chat, key: IdempotencyKey = None
) -> Response:
    """Answer a ChatKit request with JSON, or with a stream of the protocol's events."""
    parsed, client = await _parsed(request)
    context = request_context(request, user, client)
    if isinstance(parsed, ThreadsListReq | ItemsListReq | ThreadsGetByIdReq):
        await share_reads(request)
    if not is_streaming_req(parsed):
        return Response(await chat.answer(parsed, context), media_type="application/json")
    try:
        turn = await chat.start(parsed, context, key=request_key(key, parsed, client))
    except (ThreadBusy, StorageFull) as refused:
        # ChatKit.js shows the message of an error event and can offer to retry; not after a 4xx.
        message = translate(refused.detail, context.language)
        error = ErrorEvent(message=message, allow_retry=isinstance(refused, ThreadBusy))
        body = f"data: {error.model_dump_json(exclude_none=True)}\n\n"
        return Response(body, media_type=MEDIA_TYPE, headers=HEADERS)
    return TurnStream(turn, services_of(request).settings.heartbeat_seconds)


async def _parsed(request: Request) -> tuple[ChatKitReq, ClientContext]:
    # The shape of the body has been checked, unless it has a type that is not JSON.
    if not is_json(media_type_of(request.scope)):
        raise UnsupportedMediaType(
            _("Send the body as Content-Type: {types}.", types=", ".join(JSON))
        )
    threads = services_of(request).parser_threads
    return await off_loop_if_large(parse_request, await request.body(), threads)
