"""ChatKit's server for one request: it answers with the assistant's agents."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from agents import (
    InputGuardrailTripwireTriggered,
    OutputGuardrailTripwireTriggered,
    TResponseInputItem,
)
from chatkit.actions import Action
from chatkit.server import ChatKitServer
from chatkit.store import AttachmentStore
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
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
from chatkit_engine.assistant.trust import has_untrusted
from chatkit_engine.context import RequestContext
from chatkit_engine.errors import BadRequest, Conflict
from chatkit_engine.i18n import _, translate
from chatkit_engine.run import approvals
from chatkit_engine.run.agent_run import AgentRun
from chatkit_engine.run.delivery import Linked, Visibility, in_utc, localized, with_links
from chatkit_engine.run.history import turns_of
from chatkit_engine.run.runtime import Runtime, message_text
from chatkit_engine.run.speech import text_of
from chatkit_engine.run.tool_calls import event_for
from chatkit_engine.run.turn_store import TurnStore
from chatkit_engine.store import threads
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.items import UNTRUSTED, Blocked, StoredItem, is_hidden, is_record
from chatkit_engine.store.leases import LeaseLost, Outcome
from chatkit_engine.store.usage import Usage

REFUSED = _("I cannot help with that.")
CHANGED = _("This was changed by something else just now. Please try again.")
ACTION_SECONDS = 60
SYNC_TRIES = 10


class RequestServer(ChatKitServer[RequestContext]):
    """Serves one request, on the store that it is given."""

    store: SqlStore

    def __init__(self, runtime: Runtime, store: SqlStore, context: RequestContext) -> None:
        super().__init__(store)
        self._runtime = runtime
        self._context = context
        self._message: UserMessageItem | None = None
        self._run: AgentRun | None = None
        self._stopped = False
        self._has_text = False
        self._visibility = Visibility()
        self.interrupted = False

    async def prepare(
        self, request: StreamingReq, thread_id: str, context: RequestContext
    ) -> UserMessageItem | None:
        """Return the message that the request brings, so that it can be stored beforehand."""
        if isinstance(request, ThreadsCreateReq | ThreadsAddUserMessageReq):
            thread = ThreadMetadata(id=thread_id, created_at=datetime.now(UTC))
            message = request.params.input
            self._runtime.check(message)
            self._message = await super()._build_user_message_item(message, thread, context)
        return self._message

    def stream(
        self, request: StreamingReq, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Return the events of a request that was parsed already."""
        if isinstance(request, ThreadsCreateReq):
            return self._open_thread(request, context)
        return self._process_streaming_impl(request, context)

    async def _open_thread(
        self, request: ThreadsCreateReq, context: RequestContext
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Tell of the thread as it is stored: upstream would make one of its own."""
        thread = await self.store.load_thread(self._turn_store.lease.thread_id, context)
        yield ThreadCreatedEvent(thread=self._to_thread_response(thread))
        message = await self._build_user_message_item(request.params.input, thread, context)
        async for event in self._process_new_thread_item_respond(thread, message, context):
            yield event

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
        self, thread: ThreadMetadata, items: Iterable[Any], *, opens_thread: bool
    ) -> list[ThreadStreamEvent]:
        """Return the events that tell of stored items, without those that are hidden."""
        created = [ThreadCreatedEvent(thread=self._to_thread_response(thread))]
        told = [event for item in items if (event := event_for(item))]
        return [*(created if opens_thread else []), *told]

    async def answer(self, request: NonStreamingReq, context: RequestContext) -> bytes:
        """Return the JSON answer to a request that was parsed already."""
        if isinstance(request, ThreadsUpdateReq):
            return await self._rename(request, context)
        return await self._process_non_streaming(request, context)

    async def _rename(self, request: ThreadsUpdateReq, context: RequestContext) -> bytes:
        """Change the title alone: upstream writes back the whole thread that it has read."""
        title = {"title": request.params.title}
        thread = await self.store.database.write(
            threads.change_thread, request.params.thread_id, title, context.user.id
        )
        return self._serialize(self._to_thread_response(thread))

    def stop(self) -> None:
        """Stop the model. The stream then ends by itself, without a cancellation to unwind."""
        self._stopped = True
        if self._run is not None and self._run.stop():
            self.interrupted = True

    @property
    def usage(self) -> Usage | None:
        """What the model has used, as far as it has reported that by now."""
        return self._run.usage if self._run else None

    def outgoing(self, event: ThreadStreamEvent) -> ThreadStreamEvent:
        """Return the event in the user's language, and with links that work now."""
        return self._linked(localized(event, self._context.language))

    def encode(self, event: ThreadStreamEvent) -> bytes:
        """Return the event as ChatKit's front end reads it; nothing of what is hidden."""
        if not self._visibility.shows(event):
            return b""
        return b"data: " + super()._serialize(in_utc(event)) + b"\n\n"

    def end(self, outcome: Outcome, usage: Usage | None) -> bytes:
        """ChatKit's front end takes the end of the response for the end of the turn."""
        return b""

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        agent_context = self._agent_context(thread)
        if input_user_message is not None:
            agent_context.question = message_text(input_user_message)
        async for event in self._answer(agent_context, input_user_message):
            yield event

    async def _answer(
        self, agent_context: TurnContext, message: UserMessageItem | None
    ) -> AsyncIterator[ThreadStreamEvent]:
        store = self._turn_store
        history = await self._runtime.history_policy.select(
            turns_of(store.history()), agent_context
        )
        options = _options(message, history)
        model_input = await self._model_input(history, agent_context)
        if not model_input:
            return
        if self._stopped:
            self.interrupted = True
            return
        run = self._run = AgentRun(self._runtime, agent_context, store)
        try:
            async for event in run.events(model_input, options):
                if self._runtime.titles and self._is_first_text(event):
                    self._runtime.titles.begin(agent_context)
                yield event
            async for event in approvals.ask(run, agent_context):
                yield event
            if run.client_call:
                yield run.client_call
        except InputGuardrailTripwireTriggered as stopped:
            store.add_record(Blocked(**_new(store, "blk")))
            yield self._refusal(stopped.guardrail_result.output.output_info)
        except OutputGuardrailTripwireTriggered as stopped:
            yield self._refusal(stopped.guardrail_result.output.output_info)
        except LeaseLost:
            raise
        except Exception as error:
            raise user_error(error, self._context.language) from error

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

    def _is_first_text(self, event: ThreadStreamEvent) -> bool:
        """Say whether the answer begins. By then all that the answer needs was asked for."""
        match event:
            case ThreadItemUpdatedEvent(update=AssistantMessageContentPartTextDelta()):
                self._has_text, had_text = True, self._has_text
                return not had_text
            case _:
                return False

    async def _model_input(
        self, history: list[StoredItem], agent_context: TurnContext
    ) -> list[TResponseInputItem]:
        runtime, context = self._runtime, self._context
        shown = [item for item in history if not is_record(item)]
        contents = await runtime.images.contents(shown, context.user)
        if runtime.attachments is not None:
            contents = {**contents, **await runtime.attachments.contents(shown, context)}
        converter = runtime.converter.with_attachments(contents)
        described = await runtime.entities.described(context.user, history)
        if described.texts:
            converter = converter.with_entities(described.texts)
        if described.untrusted or has_untrusted(history):
            agent_context.distrust()
        return await converter.to_model_input(history)

    def _agent_context(self, thread: ThreadMetadata) -> TurnContext:
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

    def _refusal(self, reason: object) -> ThreadItemDoneEvent:
        """Answer in the guardrail's words, in the place of what it stopped."""
        text = translate(reason if isinstance(reason, str) else REFUSED, self._context.language)
        content = [AssistantMessageContent(text=text)]
        item = AssistantMessageItem(**_new(self._turn_store, "msg"), content=content)
        return ThreadItemDoneEvent(item=item)

    def _get_attachment_store(self) -> AttachmentStore[RequestContext]:
        if self._runtime.attachments is None:
            raise BadRequest(NO_ATTACHMENTS)
        return self._runtime.attachments.store

    def _serialize(self, obj: BaseModel) -> bytes:
        """Give files links that work now, in whatever is answered at once."""
        return super()._serialize(self._linked(obj))

    def _linked(self, answer: Any) -> Any:
        if isinstance(answer, ThreadItemUpdatedEvent):
            return answer
        return with_links(answer, self._with_link)

    def _with_link(self, file: Linked) -> Linked:
        attachments = self._runtime.attachments
        if isinstance(file, GeneratedImage):
            return self._runtime.images.with_link(file, self._context)
        return attachments.with_links(file, self._context) if attachments else file

    async def transcribe(
        self, audio_input: AudioInput, context: RequestContext
    ) -> TranscriptionResult:
        return TranscriptionResult(text=await text_of(audio_input, self._runtime.transcribe))

    async def action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> AsyncIterator[ThreadStreamEvent]:
        agent_context = self._agent_context(thread)
        if action.type == approvals.DECIDE:
            work = self._decide(agent_context, approvals.parse(action))
        else:
            found, payload = self._runtime.actions.streamed(action)
            handled = found.handler(agent_context, sender, payload)
            work = asyncio.wait_for(handled, ACTION_SECONDS)
        try:
            async for event in agent_context.events_of(work):
                yield event
            for item in agent_context.waiting():
                yield ThreadItemDoneEvent(item=item)
        except LeaseLost:
            raise
        except Exception as error:
            raise user_error(error, self._context.language, ACTION_FAILED) from error
        if agent_context.model_goes_on:
            async for event in self._answer(self._agent_context(thread), None):
                yield event

    async def _decide(self, context: TurnContext, decision: approvals.Decision) -> None:
        config = self._runtime.run_config(InferenceOptions())
        await approvals.decide(decision, context, self._turn_store, self._runtime.agents, config)
        if context.failure is not None:
            raise context.failure
        if not context.waits_for_user:
            context.let_model_answer()

    async def sync_action(
        self,
        thread: ThreadMetadata,
        action: Action[str, Any],
        sender: WidgetItem | None,
        context: RequestContext,
    ) -> SyncCustomActionResponse:
        """Handle an action, again where its widget was changed by another one meanwhile."""
        found, payload = self._runtime.actions.sync(action)
        for _try in range(SYNC_TRIES):
            before = sender.model_copy(deep=True) if sender else None
            item = await found.handler(self._agent_context(thread), sender, payload)
            if await self._is_saved(thread.id, before, item):
                return SyncCustomActionResponse(updated_item=None if is_hidden(item) else item)
            assert before is not None
            changed = await self.store.load_item(thread.id, before.id, context)
            sender = changed if isinstance(changed, WidgetItem) else None
        raise Conflict(CHANGED)

    async def _is_saved(
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


def _options(message: UserMessageItem | None, history: Sequence[StoredItem]) -> InferenceOptions:
    """Return what a message chose. The tool that it chose is called for the message alone."""
    if message is not None:
        return message.inference_options
    messages = (item for item in reversed(history) if isinstance(item, UserMessageItem))
    newest = next(messages, None)
    return InferenceOptions(model=newest.inference_options.model if newest else None)


def _new(store: TurnStore, prefix: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {"id": new_id(prefix), "thread_id": store.lease.thread_id, "created_at": now}
