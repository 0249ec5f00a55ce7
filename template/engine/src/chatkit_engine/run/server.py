"""ChatKit's server for one request: implements its methods with the application's agents."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any

from chatkit.actions import Action
from chatkit.server import ChatKitServer
from chatkit.store import AttachmentStore
from chatkit.types import (
    AudioInput,
    FeedbackKind,
    GeneratedImage,
    InferenceOptions,
    NonStreamingReq,
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
from pydantic import BaseModel

from chatkit_engine.assistant.attachments import NO_ATTACHMENTS
from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.failures import ACTION_FAILED, user_error
from chatkit_engine.context import RequestContext
from chatkit_engine.errors import BadRequest, Conflict
from chatkit_engine.i18n import _
from chatkit_engine.run import approvals
from chatkit_engine.run.answer import Answer
from chatkit_engine.run.delivery import LinkedFile, Visibility, in_utc, localized, with_links
from chatkit_engine.run.runtime import Runtime, message_text
from chatkit_engine.run.tool_calls import event_for
from chatkit_engine.run.turn_store import TurnStore
from chatkit_engine.security.outgoing_urls import with_safe_urls
from chatkit_engine.store import threads
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.items import UNTRUSTED, is_hidden
from chatkit_engine.store.leases import LeaseLost, Outcome
from chatkit_engine.store.usage import Usage

ACTION_SECONDS = 60
SYNC_ATTEMPTS = 10
CHANGED = _("Another request changed this at the same time. Please try again.")


class RequestServer(ChatKitServer[RequestContext]):
    """Handles one request. A request that starts a turn has a `TurnStore`, any other a `SqlStore`.

    `chatkit_engine.upstream` lists the SDK's private methods that this class overrides and calls.
    """

    store: SqlStore

    def __init__(self, runtime: Runtime, store: SqlStore, context: RequestContext) -> None:
        super().__init__(store)
        self._runtime = runtime
        self._context = context
        self._message: UserMessageItem | None = None
        self._answer = Answer(runtime, context)
        self._visibility = Visibility()

    # Called by the turn.

    async def prepare(
        self, request: StreamingReq, thread_id: str, context: RequestContext
    ) -> UserMessageItem | None:
        """Return the request's message, if it has one, to be stored before the stream begins."""
        if isinstance(request, ThreadsCreateReq | ThreadsAddUserMessageReq):
            thread = ThreadMetadata(id=thread_id, created_at=datetime.now(UTC))
            message = request.params.input
            self._runtime.check_message(message)
            self._message = await super()._build_user_message_item(message, thread, context)
        return self._message

    def stream(
        self, request: StreamingReq, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Return the events of a request that starts a turn."""
        if isinstance(request, ThreadsCreateReq):
            return self._stream_new_thread(request, context)
        return self._process_streaming_impl(request, context)

    async def stream_again(
        self, message_id: str | None, context: RequestContext, *, opens_thread: bool
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answer a stored message; without a message, continue the thread."""
        thread_id = self._turn_store.lease.thread_id
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
        self, thread: ThreadMetadata, items: Iterable[Any], *, opens_thread: bool
    ) -> list[ThreadStreamEvent]:
        """Return the events of stored items, without hidden ones."""
        created = [ThreadCreatedEvent(thread=self._to_thread_response(thread))]
        events = [event for item in items if (event := event_for(item))]
        return [*(created if opens_thread else []), *events]

    async def answer(self, request: NonStreamingReq, context: RequestContext) -> bytes:
        """Return the JSON response to a request that needs no turn."""
        if isinstance(request, ThreadsUpdateReq):
            return await self._rename_thread(request, context)
        return await self._process_non_streaming(request, context)

    def stop(self) -> None:
        """Stop the model. The stream then ends by itself."""
        self._answer.stop()

    @property
    def interrupted(self) -> bool:
        """Whether `stop` came before the answer was complete."""
        return self._answer.interrupted

    @property
    def usage(self) -> Usage | None:
        """The tokens that the model has reported so far."""
        return self._answer.usage

    def outgoing(self, event: ThreadStreamEvent) -> ThreadStreamEvent:
        """Return the event in the user's language, with links that work now and are safe."""
        return self._with_links(localized(event, self._context.language))

    def encode(self, event: ThreadStreamEvent) -> bytes:
        """Return the event as ChatKit.js reads it, or nothing if it is hidden."""
        if not self._visibility.is_visible(event):
            return b""
        return b"data: " + super()._serialize(in_utc(event)) + b"\n\n"

    def end(self, outcome: Outcome, usage: Usage | None) -> bytes:
        """Return nothing: for ChatKit.js the end of the response is the end of the turn."""
        return b""

    # Called by ChatKitServer.

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        turn_context = self._turn_context(thread)
        if input_user_message is not None:
            turn_context.question = message_text(input_user_message)
        events = self._answer.events(turn_context, self._turn_store, input_user_message)
        async for event in events:
            yield event

    async def handle_stream_cancelled(
        self,
        thread: ThreadMetadata,
        pending_items: list[ThreadItem],
        context: RequestContext,
    ) -> None:
        """Do nothing: the turn saves what there is, whichever way it ends."""

    async def add_feedback(
        self,
        thread_id: str,
        item_ids: list[str],
        feedback: FeedbackKind,
        context: RequestContext,
    ) -> None:
        await self.store.save_feedback(thread_id, item_ids, feedback, context)

    async def transcribe(
        self, audio_input: AudioInput, context: RequestContext
    ) -> TranscriptionResult:
        return TranscriptionResult(text=await self._runtime.transcribe_audio(audio_input))

    async def action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        turn_context = self._turn_context(thread)
        if action.type == approvals.DECIDE:
            work = self._decide(turn_context, approvals.parse_decision(action))
        else:
            found, payload = self._runtime.actions.find_widget_action(action)
            work = asyncio.wait_for(found.handler(turn_context, sender, payload), ACTION_SECONDS)
        try:
            async for event in turn_context.events_of(work):
                yield event
            for item in turn_context.pending_items():
                yield ThreadItemDoneEvent(item=item)
        except LeaseLost:
            raise
        except Exception as error:
            raise user_error(error, self._context.language, ACTION_FAILED) from error
        if turn_context.model_should_answer:
            answer = self._answer.events(self._turn_context(thread), self._turn_store, None)
            async for event in answer:
                yield event

    async def sync_action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> SyncCustomActionResponse:
        """Run the handler; run it again if another request changed its widget in the meantime.

        A thread has no lease outside a turn, so two clicks can change the same widget at once.

        Raises:
            Conflict: the widget was changed during each of ten attempts.
        """
        found, payload = self._runtime.actions.find_sync_action(action)
        for _attempt in range(SYNC_ATTEMPTS):
            before = sender.model_copy(deep=True) if sender else None
            item = await found.handler(self._turn_context(thread), sender, payload)
            if await self._save_if_unchanged(thread.id, before, item):
                return SyncCustomActionResponse(updated_item=None if is_hidden(item) else item)
            # Only an existing widget can have been changed by another request.
            assert before is not None
            changed = await self.store.load_item(thread.id, before.id, context)
            sender = changed if isinstance(changed, WidgetItem) else None
        raise Conflict(CHANGED)

    async def _build_user_message_item(
        self, input: UserMessageInput, thread: ThreadMetadata, context: RequestContext
    ) -> UserMessageItem:
        return self._message or await super()._build_user_message_item(input, thread, context)

    def _get_attachment_store(self) -> AttachmentStore[RequestContext]:
        if self._runtime.attachments is None:
            raise BadRequest(NO_ATTACHMENTS)
        return self._runtime.attachments.store

    def _serialize(self, obj: BaseModel) -> bytes:
        return super()._serialize(self._with_links(obj))

    async def _stream_new_thread(
        self, request: ThreadsCreateReq, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Stream the thread that the turn's first transaction created. The SDK would create one."""
        thread = await self.store.load_thread(self._turn_store.lease.thread_id, context)
        yield ThreadCreatedEvent(thread=self._to_thread_response(thread))
        message = await self._build_user_message_item(request.params.input, thread, context)
        async for event in self._process_new_thread_item_respond(thread, message, context):
            yield event

    async def _rename_thread(self, request: ThreadsUpdateReq, context: RequestContext) -> bytes:
        """Change the title only. The SDK would overwrite changes that a turn makes meanwhile."""
        title = {"title": request.params.title}
        thread = await self.store.database.write(
            threads.update_thread, request.params.thread_id, title, context.user.id
        )
        return self._serialize(self._to_thread_response(thread))

    async def _decide(self, context: TurnContext, decision: approvals.Decision) -> None:
        config = self._runtime.run_config(InferenceOptions())
        agents = self._runtime.agents
        await approvals.apply_decision(decision, context, self._turn_store, agents, config)
        if context.failure is not None:
            raise context.failure
        if not context.waits_for_user:
            context.let_model_answer()

    async def _save_if_unchanged(
        self, thread_id: str, before: WidgetItem | None, item: ThreadItem | None
    ) -> bool:
        if item is None:
            return True
        if before is None or before.id != item.id:
            await self.store.save_item(thread_id, item, self._context)
            return True
        user_id = self._context.user.id
        return await self.store.database.write(
            threads.replace_item, thread_id, before, item, user_id
        )

    def _with_links(self, response: Any) -> Any:
        response = with_safe_urls(response)
        # An update has no files. Skipping it saves a copy for each delta.
        if isinstance(response, ThreadItemUpdatedEvent):
            return response
        return with_links(response, self._with_link)

    def _with_link(self, file: LinkedFile) -> LinkedFile:
        attachments = self._runtime.attachments
        if isinstance(file, GeneratedImage):
            return self._runtime.images.with_link(file, self._context)
        return attachments.with_links(file, self._context) if attachments else file

    def _turn_context(self, thread: ThreadMetadata) -> TurnContext:
        return TurnContext(
            thread=thread,
            store=self.store,
            request_context=self._context,
            database=self._runtime.database,
            reads_untrusted=UNTRUSTED in thread.metadata,
        )

    @property
    def _turn_store(self) -> TurnStore:
        assert isinstance(self.store, TurnStore)
        return self.store
