"""`POST /api/chat`: the assistant for clients that do not use the ChatKit protocol."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, StringConstraints

from chatkit_engine.context import ClientContext, Text
from chatkit_engine.http.dependencies import (
    Chat,
    CurrentUser,
    IdempotencyKey,
    request_context,
    request_key,
)
from chatkit_engine.http.plain_events import ChatReply, PlainEvents
from chatkit_engine.http.services import services_of
from chatkit_engine.http.streaming import TurnStream, replay_headers, wait_for
from chatkit_engine.turns.requests import user_message_request

router = APIRouter(prefix="/api", tags=["chat"])
# In characters. The model's budget of tokens is usually smaller.
MAX_MESSAGE = 100_000


class ChatRequest(BaseModel):
    message: Annotated[Text, StringConstraints(min_length=1, max_length=MAX_MESSAGE)]
    thread_id: Annotated[Text, StringConstraints(max_length=100)] | None = None
    context: ClientContext = Field(default_factory=ClientContext)
    stream: bool = False


@router.post("/chat", response_model=ChatReply)
async def chat(
    body: ChatRequest,
    request: Request,
    response: Response,
    user: CurrentUser,
    service: Chat,
    key: IdempotencyKey = None,
) -> Response | ChatReply:
    """Send a message. Without `thread_id` it starts a new thread."""
    context = request_context(request, user, body.context)
    events = PlainEvents(context.language)
    message = user_message_request(body.message, body.thread_id)
    turn = await service.start(message, context, events, request_key(key, message, body.context))
    if body.stream:
        return TurnStream(turn, services_of(request).settings.heartbeat_seconds)
    await wait_for(turn, request)
    response.headers.update(replay_headers(turn))
    return events.reply()
