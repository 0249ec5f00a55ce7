"""One run of the agents: what it streams, and what it leaves for later turns to know."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import cast

from agents import RunConfig, Runner, RunResultStreaming, StreamEvent, TResponseInputItem
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
from chatkit_engine.i18n import _, translate
from chatkit_engine.run.history import request_size
from chatkit_engine.run.images import ImageStream
from chatkit_engine.run.runtime import AGENT, Runtime
from chatkit_engine.run.stream_events import is_idle, readable, with_own_ids
from chatkit_engine.run.tool_calls import CallRecorder
from chatkit_engine.run.turn_store import TurnStore
from chatkit_engine.run.usage import UNNAMED, model_of
from chatkit_engine.store.usage import Usage


class AgentRun:
    """Runs the agent that has the thread, and those that it hands off to."""

    def __init__(self, runtime: Runtime, context: TurnContext, store: TurnStore) -> None:
        self._runtime = runtime
        self._context = context
        self.calls = CallRecorder(context, store)
        self._images = ImageStream(runtime.images, context, store.lease)
        self._handoffs = 0
        self._sent = 0
        self._model = UNNAMED
        self.client_call: ThreadStreamEvent | None = None
        self.result: RunResultStreaming | None = None

    async def events(
        self, history: list[TResponseInputItem], options: InferenceOptions
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Run to the end, and yield what the user sees.

        A call of a client's tool is kept in `client_call`. It is for the caller to yield last: its
        output finds it as the thread's newest item.

        Raises:
            InputGuardrailTripwireTriggered, OutputGuardrailTripwireTriggered: it was stopped.
            CustomStreamError: it came to nothing; the message says why.
        """
        self.result = Runner.run_streamed(
            self._runtime.agent_of(self._context.thread.metadata, options),
            history,
            context=self._context,
            max_turns=self._runtime.max_model_calls,
            run_config=self._config(options),
        )
        try:
            observed = cast(RunResultStreaming, _Observed(self.result, self))
            shown = stream_agent_response(self._context, observed, converter=self._images)
            async for event in with_own_ids(self._images.shown(shown), self._context):
                if isinstance(event, ThreadItemDoneEvent) and event.item.type == "client_tool_call":
                    self.client_call = event
                else:
                    yield event
            for question in self._context.asked:
                yield ThreadItemDoneEvent(item=question)
            self._finish(self.result)
        finally:
            self._context.close()
            self.stop()

    def stop(self) -> bool:
        """Stop the model if it runs, and say whether it did. The stream then ends by itself."""
        if self.result is None or self.result.is_complete:
            return False
        self.result.cancel()
        return True

    @property
    def usage(self) -> Usage | None:
        """What the model has used, as far as it has reported that by now."""
        if self.result is None:
            return None
        reported = self.result.context_wrapper.usage
        return self._runtime.meter.read(self._model, reported)

    @property
    def interruptions(self) -> Sequence[ToolApprovalItem]:
        """The calls that wait for the user's approval."""
        return self.result.interruptions if self.result else ()

    async def observe(self, event: StreamEvent) -> None:
        if isinstance(event, RunItemStreamEvent) and isinstance(event.item, HandoffOutputItem):
            await self._handed_off(event.item.target_agent.name)
        if isinstance(event, RawResponsesStreamEvent):
            self._images.observe(event.data)
            self._learn(event.data)
        else:
            await self.calls.observe(event)

    async def _handed_off(self, agent: str) -> None:
        self._handoffs += 1
        if self._handoffs > self._runtime.max_handoffs:
            raise CustomStreamError(TOO_MANY_HANDOFFS, allow_retry=False)
        told = _("{agent} takes over.", agent=agent)
        await self._context.progress(translate(told, self._context.request_context.language))

    def _bound(self, call: CallModelData[TurnContext]) -> ModelInputData:
        """Bound a request, and note how many bytes it has, for the history's estimate of tokens."""
        items = self._runtime.history.with_newest_outputs(call.model_data.input)
        data = replace(call.model_data, input=items)
        self._sent = request_size(data, call.agent)
        return data

    def _learn(self, event: TResponseStreamEvent) -> None:
        self._model = model_of(event) or self._model
        if isinstance(event, ResponseCompletedEvent) and event.response.usage:
            tokens = event.response.usage.input_tokens
            self._runtime.history.estimator.learn(self._sent, tokens)

    def _config(self, options: InferenceOptions) -> RunConfig:
        config = self._runtime.run_config(options)
        return replace(config, call_model_input_filter=self._bound)

    def _finish(self, result: RunResultStreaming) -> None:
        """Keep the agent that has the thread now."""
        if self._context.failure is not None:
            raise self._context.failure
        if self._context.gave_up:
            raise CustomStreamError(NO_VALID_RESULT, allow_retry=True)
        metadata, name = self._context.thread.metadata, result.last_agent.name
        if self._handoffs and metadata.get(AGENT) != name:
            metadata[AGENT] = name


class _Observed:
    """A run, of whose events ChatKit's converter gets those that it makes something of."""

    def __init__(self, result: RunResultStreaming, run: AgentRun) -> None:
        self._result = result
        self._run = run

    async def stream_events(self) -> AsyncIterator[StreamEvent]:
        async for event in self._result.stream_events():
            await self._run.observe(event)
            if not is_idle(event):
                yield readable(event)
