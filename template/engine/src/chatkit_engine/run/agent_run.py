"""One run of the agents: from the history to the events that the user sees."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import cast

from agents import Runner, RunResultStreaming, StreamEvent, TResponseInputItem
from agents.items import HandoffOutputItem, ToolApprovalItem, TResponseStreamEvent
from agents.run_config import CallModelData, ModelInputData
from agents.stream_events import RawResponsesStreamEvent, RunItemStreamEvent
from chatkit.agents import (
    stream_agent_response,  # pyright: ignore[reportUnknownVariableType]
)
from chatkit.errors import CustomStreamError
from chatkit.types import InferenceOptions, ThreadItemDoneEvent, ThreadStreamEvent
from openai.types.responses import ResponseCompletedEvent

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.failures import NO_VALID_RESULT, TOO_MANY_HANDOFFS
from chatkit_engine.assistant.trust import TrustHooks
from chatkit_engine.i18n import _
from chatkit_engine.run.history import request_size
from chatkit_engine.run.images import ImageStream
from chatkit_engine.run.runtime import AGENT, Runtime
from chatkit_engine.run.stream_events import (
    assign_item_ids,
    is_ignored_by_converter,
    with_plain_annotation,
)
from chatkit_engine.run.tool_calls import CallRecorder
from chatkit_engine.run.turn_store import TurnStore
from chatkit_engine.run.usage import UNNAMED, model_of
from chatkit_engine.store.usage import Usage


class AgentRun:
    """Runs the thread's current agent, and the agents that it hands off to."""

    def __init__(self, runtime: Runtime, context: TurnContext, store: TurnStore) -> None:
        self._runtime = runtime
        self._context = context
        self.calls = CallRecorder(context, store)
        self._images = ImageStream(runtime.images, context, store.lease)
        self._handoffs = 0
        self._request_bytes = 0
        self._model = UNNAMED
        self.client_call: ThreadStreamEvent | None = None
        self.result: RunResultStreaming | None = None

    async def events(
        self, history: list[TResponseInputItem], options: InferenceOptions
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Run to the end, and yield the events that the user sees.

        A client tool call is not yielded but kept in `client_call`. The caller has to yield it
        last, because ChatKit adds the tool's output to the thread's newest item.

        Raises:
            InputGuardrailTripwireTriggered: an input guardrail refused the message.
            OutputGuardrailTripwireTriggered: an output guardrail refused the answer.
            CustomStreamError: the run failed. The message is for the user.
        """
        config = self._runtime.run_config(options)
        self.result = Runner.run_streamed(
            self._runtime.select_agent(self._context.thread.metadata, options),
            history,
            context=self._context,
            max_turns=self._runtime.max_model_calls,
            hooks=TrustHooks(),
            run_config=replace(config, call_model_input_filter=self._limit_request),
        )
        try:
            observed = cast(RunResultStreaming, _ObservedRun(self.result, self))
            converted = stream_agent_response(self._context, observed, converter=self._images)
            async for event in assign_item_ids(self._images.process(converted), self._context):
                if isinstance(event, ThreadItemDoneEvent) and event.item.type == "client_tool_call":
                    self.client_call = event
                else:
                    yield event
            for item in self._context.input_items:
                yield ThreadItemDoneEvent(item=item)
            self._finish(self.result)
        finally:
            # Also when the caller stops reading before the end.
            self._context.close()
            self.stop()

    def stop(self) -> bool:
        """Stop the model, and return whether it was running. The stream then ends by itself."""
        if self.result is None or self.result.is_complete:
            return False
        self.result.cancel()
        return True

    @property
    def usage(self) -> Usage | None:
        """The tokens that the model has reported so far."""
        if self.result is None:
            return None
        reported = self.result.context_wrapper.usage
        return self._runtime.meter.read(self._model, reported)

    @property
    def interruptions(self) -> Sequence[ToolApprovalItem]:
        """The tool calls that need the user's approval."""
        return self.result.interruptions if self.result else ()

    async def observe(self, event: StreamEvent) -> None:
        """Record what ChatKit's converter does not pass on: calls, handoffs, prompts and usage."""
        if isinstance(event, RunItemStreamEvent) and isinstance(event.item, HandoffOutputItem):
            await self._on_handoff(event.item.target_agent.name)
        if isinstance(event, RawResponsesStreamEvent):
            self._images.observe(event.data)
            self._record_usage(event.data)
        else:
            await self.calls.observe(event)

    async def _on_handoff(self, agent: str) -> None:
        self._handoffs += 1
        if self._handoffs > self._runtime.max_handoffs:
            raise CustomStreamError(TOO_MANY_HANDOFFS, allow_retry=False)
        await self._context.progress(_("{agent} takes over.", agent=agent))

    def _limit_request(self, call: CallModelData[TurnContext]) -> ModelInputData:
        """Omit old tool outputs, and note the request's size for the estimate of tokens."""
        items = self._runtime.history.limit_outputs(call.model_data.input)
        data = replace(call.model_data, input=items)
        self._request_bytes = request_size(data, call.agent)
        return data

    def _record_usage(self, event: TResponseStreamEvent) -> None:
        # The provider may answer with another model, for example a fallback, at other prices.
        self._model = model_of(event) or self._model
        if isinstance(event, ResponseCompletedEvent) and event.response.usage:
            tokens = event.response.usage.input_tokens
            self._runtime.history.estimator.learn(self._request_bytes, tokens)

    def _finish(self, result: RunResultStreaming) -> None:
        """Raise if the turn failed; else remember which agent the thread was handed to."""
        if self._context.failure is not None:
            raise self._context.failure
        # The run ended without an answer, because the model kept calling tools wrongly.
        if self._context.gave_up:
            raise CustomStreamError(NO_VALID_RESULT, allow_retry=True)
        metadata, name = self._context.thread.metadata, result.last_agent.name
        if self._handoffs and metadata.get(AGENT) != name:
            metadata[AGENT] = name


class _ObservedRun:
    """A run as ChatKit's converter sees it: only with the events that it does not ignore."""

    def __init__(self, result: RunResultStreaming, run: AgentRun) -> None:
        self._result = result
        self._run = run

    async def stream_events(self) -> AsyncIterator[StreamEvent]:
        async for event in self._result.stream_events():
            await self._run.observe(event)
            if not is_ignored_by_converter(event):
                yield with_plain_annotation(event)
