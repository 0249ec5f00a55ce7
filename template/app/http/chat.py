"""`POST /api/chat`: the same assistant for clients that do not speak ChatKit.

As a stream it sends named events: `thread` once the message is stored, `delta` for text as it
comes, `message` for a whole message, `error`, and `done` when everything is stored, with what the
model has used.
"""

from typing import Annotated

from chatkit.types import (
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ErrorEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    UserMessageItem,
)
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, StringConstraints
from pydantic_core import to_json

from app.chat.requests import user_message_request
from app.context import ClientContext, Text
from app.errors import ModelFailed
from app.http.dependencies import Chat, IdempotencyKey, request_context, request_key
from app.http.sse import TurnStream, replay_headers, wait_for
from app.http.usage import TurnUsage, turn_usage
from app.i18n import _, translate
from app.security.authentication import CurrentUser
from app.store.maintenance import Outcome
from app.store.usage import Usage

router = APIRouter(prefix="/api", tags=["chat"])

MAX_MESSAGE = 100_000
FAILED = _("The assistant could not answer. Please try again.")


class ChatRequest(BaseModel):
    message: Annotated[Text, StringConstraints(min_length=1, max_length=MAX_MESSAGE)]
    thread_id: Annotated[Text, StringConstraints(max_length=100)] | None = None
    context: ClientContext = Field(default_factory=ClientContext)
    stream: bool = False


class ChatReply(BaseModel):
    """The assistant's answer. `message` joins its messages' texts by a blank line.

    `usage` is null when the model reported none.
    """

    thread_id: str
    message_id: str
    message: str
    usage: TurnUsage | None


@router.post("/chat", response_model=ChatReply)
async def chat(
    body: ChatRequest,
    request: Request,
    response: Response,
    user: CurrentUser,
    service: Chat,
    key: IdempotencyKey = None,
) -> Response | ChatReply:
    """Send a message; without `thread_id` it opens a thread."""
    context = request_context(request, user, body.context)
    events = PlainEvents(context.language)
    asked = user_message_request(body.message, body.thread_id)
    turn = await service.start(asked, context, events, request_key(key, asked, body.context))
    if body.stream:
        return TurnStream(turn, request.app.state.settings.heartbeat_seconds)
    await wait_for(turn, request)
    response.headers.update(replay_headers(turn))
    return events.reply()


class PlainEvents:
    """Turns ChatKit's events into plain ones, and remembers what a JSON answer needs."""

    def __init__(self, language: str) -> None:
        self._failed = translate(FAILED, language)
        self._thread_id = ""
        self._message_ids: list[str] = []
        self._texts: list[str] = []
        self._error: ErrorEvent | None = None
        self._usage: TurnUsage | None = None

    def encode(self, event: ThreadStreamEvent) -> bytes:
        match event:
            case ThreadItemUpdatedEvent(update=AssistantMessageContentPartTextDelta() as update):
                return _sse("delta", {"message_id": event.item_id, "text": update.delta})
            case ThreadItemDoneEvent(item=UserMessageItem() as item):
                self._thread_id = item.thread_id
                return _sse("thread", {"thread_id": item.thread_id, "message_id": item.id})
            case ThreadItemDoneEvent(item=AssistantMessageItem() as item):
                return self._message(item)
            case ErrorEvent():
                self._error = event
                return _sse(
                    "error", {"message": event.message or self._failed, "retry": event.allow_retry}
                )
            case _:
                return b""

    def end(self, outcome: Outcome, usage: Usage | None) -> bytes:
        self._usage = turn_usage(usage)
        done = {"thread_id": self._thread_id, "outcome": outcome, "usage": self._usage}
        return _sse("done", done)

    def reply(self) -> ChatReply:
        if self._error is not None:
            detail = self._error.message or self._failed
            raise ModelFailed(detail, thread_id=self._thread_id, retry=self._error.allow_retry)
        return ChatReply(
            thread_id=self._thread_id,
            message_id=self._message_ids[-1] if self._message_ids else "",
            message="\n\n".join(self._texts),
            usage=self._usage,
        )

    def _message(self, item: AssistantMessageItem) -> bytes:
        text = "".join(part.text for part in item.content)
        self._message_ids.append(item.id)
        self._texts.append(text)
        return _sse("message", {"message_id": item.id, "text": text})


def _sse(event: str, data: object) -> bytes:
    return b"event: " + event.encode() + b"\ndata: " + to_json(data) + b"\n\n"
