"""Has the agents answer in a turn: history, run, approvals, and the refusals of guardrails."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from agents import (
    InputGuardrailTripwireTriggered,
    OutputGuardrailTripwireTriggered,
    TResponseInputItem,
)
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    InferenceOptions,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
    UserMessageItem,
)

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.failures import user_error
from chatkit_engine.assistant.trust import has_untrusted
from chatkit_engine.context import RequestContext
from chatkit_engine.i18n import _, translate
from chatkit_engine.run.agent_run import AgentRun
from chatkit_engine.run.approvals import request_approvals
from chatkit_engine.run.conversion import describe_page
from chatkit_engine.run.history import turns_of
from chatkit_engine.run.runtime import Runtime
from chatkit_engine.run.turn_store import TurnStore
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.items import Blocked, StoredItem, is_record
from chatkit_engine.store.leases import LeaseLost
from chatkit_engine.store.usage import Usage

REFUSED = _("I cannot help with that.")


class Answer:
    """The answer of one turn, which can be stopped from outside.

    `interrupted` means that `stop` came before the answer was complete.
    """

    def __init__(self, runtime: Runtime, context: RequestContext) -> None:
        self.interrupted = False
        self._runtime = runtime
        self._context = context
        self._run: AgentRun | None = None
        self._stopped = False
        self._has_text = False

    @property
    def usage(self) -> Usage | None:
        """The tokens that the model has reported so far."""
        return self._run.usage if self._run else None

    def stop(self) -> None:
        """Stop the model. The stream then ends by itself, without a cancellation to unwind."""
        self._stopped = True
        if self._run is not None and self._run.stop():
            self.interrupted = True

    async def events(
        self, context: TurnContext, store: TurnStore, message: UserMessageItem | None
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Answer the message, or continue the thread if there is no new message.

        Raises:
            CustomStreamError: the run failed. The message is for the user.
            LeaseLost: the turn was ended from outside.
        """
        history = await self._runtime.history_policy.select(turns_of(store.history()), context)
        options = _inference_options(message, history)
        model_input = await self._model_input(history, context)
        # For example everything was blocked. The APIs refuse an empty input.
        if not model_input:
            return
        # Stopped while the history was loaded, when there was no run to stop.
        if self._stopped:
            self.interrupted = True
            return
        run = self._run = AgentRun(self._runtime, context, store)
        try:
            async for event in run.events(model_input, options):
                # Not earlier: a title must not delay the first word of the answer.
                if self._runtime.titles and self._is_first_text(event):
                    self._runtime.titles.start(context)
                yield event
            async for event in request_approvals(run, context):
                yield event
            if run.client_call:
                yield run.client_call
        except InputGuardrailTripwireTriggered as tripped:
            store.add_record(Blocked(**_item_fields(store, "blk")))
            yield self._refusal(store, tripped.guardrail_result.output.output_info)
        except OutputGuardrailTripwireTriggered as tripped:
            yield self._refusal(store, tripped.guardrail_result.output.output_info)
        except LeaseLost:
            raise
        except Exception as error:
            raise user_error(error, self._context.language) from error

    async def _model_input(
        self, history: list[StoredItem], context: TurnContext
    ) -> list[TResponseInputItem]:
        runtime, user = self._runtime, self._context.user
        items = [item for item in history if not is_record(item)]
        contents = await runtime.images.contents(items, user)
        if runtime.attachments is not None:
            contents = {**contents, **await runtime.attachments.contents(items, self._context)}
        entities = await runtime.entities.describe_tags(user, history)
        page = describe_page(self._context)
        if page or entities.untrusted or has_untrusted(history):
            await context.mark_input_untrusted()
        converter = runtime.converter.with_contents(contents).with_entities(entities.texts)
        return await converter.to_model_input(history, page)

    def _is_first_text(self, event: ThreadStreamEvent) -> bool:
        match event:
            case ThreadItemUpdatedEvent(update=AssistantMessageContentPartTextDelta()):
                self._has_text, had_text = True, self._has_text
                return not had_text
            case _:
                return False

    def _refusal(self, store: TurnStore, reason: object) -> ThreadItemDoneEvent:
        """Return the guardrail's text as the assistant's message."""
        text = translate(reason if isinstance(reason, str) else REFUSED, self._context.language)
        content = [AssistantMessageContent(text=text)]
        item = AssistantMessageItem(**_item_fields(store, "msg"), content=content)
        return ThreadItemDoneEvent(item=item)


def _inference_options(
    message: UserMessageItem | None, history: Sequence[StoredItem]
) -> InferenceOptions:
    """Return the message's options; else the newest message's model, but not its tool choice."""
    if message is not None:
        return message.inference_options
    messages = (item for item in reversed(history) if isinstance(item, UserMessageItem))
    newest = next(messages, None)
    return InferenceOptions(model=newest.inference_options.model if newest else None)


def _item_fields(store: TurnStore, prefix: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {"id": new_id(prefix), "thread_id": store.lease.thread_id, "created_at": now}
