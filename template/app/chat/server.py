"""ChatKit's server for one request: it answers with the assistant's agent."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import structlog
from agents import Agent, MaxTurnsExceeded, Runner, RunResultStreaming, TResponseInputItem
from chatkit.actions import Action
from chatkit.agents import (
    AgentContext,
    stream_agent_response,  # pyright: ignore[reportUnknownVariableType]
)
from chatkit.errors import CustomStreamError
from chatkit.server import ChatKitServer
from chatkit.store import AttachmentStore
from chatkit.types import (
    AudioInput,
    FeedbackKind,
    HiddenContextItem,
    NonStreamingReq,
    ProgressUpdateEvent,
    SDKHiddenContextItem,
    StreamingReq,
    SyncCustomActionResponse,
    ThreadCreatedEvent,
    ThreadItem,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadStreamEvent,
    ThreadsUpdateReq,
    TranscriptionResult,
    UserMessageInput,
    UserMessageItem,
    WidgetItem,
)
from openai import RateLimitError
from pydantic import BaseModel, SkipValidation

from app.chat.attachments import Attachments, with_links
from app.chat.converter import Converter
from app.chat.localized import localized
from app.chat.metering import Meter
from app.chat.preflight import NO_ATTACHMENTS
from app.chat.stream import WithoutIdleEvents, in_utc, with_own_ids
from app.chat.turn_store import TurnStore
from app.context import PageContext, RequestContext, User
from app.errors import BadRequest
from app.i18n import _
from app.store import sql
from app.store.engine import Database
from app.store.maintenance import Outcome
from app.store.sql import SqlStore
from app.store.usage import Usage

log = structlog.stdlib.get_logger(__name__)

MAX_MODEL_CALLS = 10

BUSY = _("The model is busy just now. Please try again in a moment.")
UNREACHABLE = _("The model could not answer. Please try again.")
TOO_LONG = _("I stopped after too many steps. Please ask in a simpler way.")


class AssistantContext(AgentContext[RequestContext]):
    """What a tool finds in `ctx.context`."""

    database: SkipValidation[Database]

    @property
    def user(self) -> User:
        return self.request_context.user

    @property
    def page_context(self) -> PageContext | None:
        return self.request_context.page_context

    def close(self) -> None:
        """Wake the queue's reader, whom a failed stream leaves behind: it would wait for ever."""
        self._events.put_nowait(ProgressUpdateEvent(text=""))


@dataclass(frozen=True)
class Assistant:
    """What every turn shares."""

    agent: Agent[AssistantContext]
    database: Database
    converter: Converter
    model_name: str
    meter: Meter
    attachments: Attachments | None = None


class AssistantServer(ChatKitServer[RequestContext]):
    """Serves one request, on the store that it is given."""

    store: SqlStore

    def __init__(self, assistant: Assistant, store: SqlStore, context: RequestContext) -> None:
        super().__init__(store)
        self._assistant = assistant
        self._context = context
        self._message: UserMessageItem | None = None
        self._run: RunResultStreaming | None = None
        self._stopped = False
        self.interrupted = False
        self.usage: Usage | None = None

    async def prepare(
        self, request: StreamingReq, thread_id: str, context: RequestContext
    ) -> UserMessageItem | None:
        """Return the message that the request brings, so that it can be stored beforehand."""
        if isinstance(request, ThreadsCreateReq | ThreadsAddUserMessageReq):
            thread = ThreadMetadata(id=thread_id, created_at=datetime.now(UTC))
            message = request.params.input
            self._message = await super()._build_user_message_item(message, thread, context)
        return self._message

    def stream(
        self, request: StreamingReq, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Return the events of a request that was parsed already."""
        return self._process_streaming_impl(request, context)

    async def stream_again(
        self, message_id: str | None, context: RequestContext, *, opens_thread: bool
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answer what is stored already: a message, or else where the thread stands."""
        assert isinstance(self.store, TurnStore)
        thread_id = self.store.lease.thread_id
        thread = await self.store.load_thread(thread_id, context)
        item = await self.store.load_item(thread_id, message_id, context) if message_id else None
        for event in self.stored_events(thread, [item] if item else [], opens_thread=opens_thread):
            yield event
        message = item if isinstance(item, UserMessageItem) else None
        async for event in self._process_events(
            thread, context, lambda: self.respond(thread, message, context)
        ):
            yield event

    def stored_events(
        self, thread: ThreadMetadata, items: Iterable[ThreadItem], *, opens_thread: bool
    ) -> list[ThreadStreamEvent]:
        """Return the events that tell of stored items, without those that are hidden."""
        hidden = (HiddenContextItem, SDKHiddenContextItem)
        created = [ThreadCreatedEvent(thread=self._to_thread_response(thread))]
        done = [ThreadItemDoneEvent(item=item) for item in items if not isinstance(item, hidden)]
        return [*(created if opens_thread else []), *done]

    async def answer(self, request: NonStreamingReq, context: RequestContext) -> bytes:
        """Return the JSON answer to a request that was parsed already."""
        if isinstance(request, ThreadsUpdateReq):
            return await self._rename(request, context)
        return await self._process_non_streaming(request, context)

    async def _rename(self, request: ThreadsUpdateReq, context: RequestContext) -> bytes:
        """Change the title alone: upstream writes back the whole thread that it has read."""
        title = {"title": request.params.title}
        thread = await self.store.database.write(
            sql.change_thread, request.params.thread_id, title, context.user.id
        )
        return self._serialize(self._to_thread_response(thread))

    def stop(self) -> None:
        """Stop the model. The stream then ends by itself, without a cancellation to unwind."""
        self._stopped = True
        if self._run is not None and not self._run.is_complete:
            self.interrupted = True
            self._run.cancel()

    def localized(self, event: ThreadStreamEvent) -> ThreadStreamEvent:
        """Return the event with our own messages in the user's language."""
        return localized(event, self._context.language)

    def encode(self, event: ThreadStreamEvent) -> bytes:
        """Return the event as ChatKit's front end reads it."""
        return b"data: " + self._serialize(in_utc(event)) + b"\n\n"

    def end(self, outcome: Outcome, usage: Usage | None) -> bytes:
        """ChatKit's front end takes the end of the response for the end of the turn."""
        return b""

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        assert isinstance(self.store, TurnStore)
        agent_context = AssistantContext(
            thread=thread,
            store=self.store,
            request_context=context,
            database=self._assistant.database,
        )
        history = await self._model_input(self.store.history(), context)
        if self._stopped:
            self.interrupted = True
            return
        self._run = Runner.run_streamed(
            self._assistant.agent,
            history,
            context=agent_context,
            max_turns=MAX_MODEL_CALLS,
        )
        try:
            run = cast(RunResultStreaming, WithoutIdleEvents(self._run))
            async for event in with_own_ids(stream_agent_response(agent_context, run)):
                yield event
        except Exception as error:
            raise _for_the_user(error) from error
        finally:
            self.usage = self._assistant.meter.read(
                self._assistant.model_name, self._run.context_wrapper.usage
            )
            agent_context.close()
            if not self._run.is_complete:
                self._run.cancel()

    async def handle_stream_cancelled(
        self,
        thread: ThreadMetadata,
        pending_items: list[ThreadItem],
        context: RequestContext,
    ) -> None:
        """Leave the saving to the turn, which does it for every way to end."""

    async def add_feedback(
        self,
        thread_id: str,
        item_ids: list[str],
        feedback: FeedbackKind,
        context: RequestContext,
    ) -> None:
        await self.store.save_feedback(thread_id, item_ids, feedback, context)

    async def _build_user_message_item(
        self, input: UserMessageInput, thread: ThreadMetadata, context: RequestContext
    ) -> UserMessageItem:
        return self._message or await super()._build_user_message_item(input, thread, context)

    async def _model_input(
        self, history: list[ThreadItem], context: RequestContext
    ) -> list[TResponseInputItem]:
        converter, attachments = self._assistant.converter, self._assistant.attachments
        if attachments is not None:
            contents = await attachments.contents(history, context)
            converter = converter.with_attachments(contents)
        return await converter.to_agent_input(history)

    def _get_attachment_store(self) -> AttachmentStore[RequestContext]:
        if self._assistant.attachments is None:
            raise BadRequest(NO_ATTACHMENTS)
        return self._assistant.attachments.store

    def _serialize(self, obj: BaseModel) -> bytes:
        """Everything that goes out comes by here, and attachments get links that work now."""
        attachments = self._assistant.attachments
        if attachments is not None and not isinstance(obj, ThreadItemUpdatedEvent):
            obj = with_links(obj, lambda each: attachments.with_links(each, self._context))
        return super()._serialize(obj)

    async def transcribe(
        self, audio_input: AudioInput, context: RequestContext
    ) -> TranscriptionResult:
        raise BadRequest(_("This assistant does not transcribe speech."))

    async def action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        raise CustomStreamError(_("This assistant does not know that action."))
        yield

    async def sync_action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> SyncCustomActionResponse:
        raise BadRequest(_("This assistant does not know that action."))


def _for_the_user(error: Exception) -> CustomStreamError:
    """Say what the user can do. The error itself is for the log, never for the client."""
    if isinstance(error, CustomStreamError):
        return error
    log.error("the agent failed", error=type(error).__name__, exc_info=error)
    if isinstance(error, RateLimitError):
        return CustomStreamError(BUSY, allow_retry=True)
    if isinstance(error, MaxTurnsExceeded):
        return CustomStreamError(TOO_LONG, allow_retry=False)
    return CustomStreamError(UNREACHABLE, allow_retry=True)
