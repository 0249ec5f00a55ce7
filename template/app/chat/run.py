"""One run of the agents: what it streams, and what it leaves for later turns to know."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import cast

from agents import (
    Agent,
    RunConfig,
    Runner,
    RunResultStreaming,
    StreamEvent,
    TResponseInputItem,
)
from agents.items import HandoffOutputItem, ToolApprovalItem, TResponseStreamEvent
from agents.run_config import CallModelData, ModelInputData
from agents.stream_events import RawResponsesStreamEvent, RunItemStreamEvent
from chatkit.agents import (
    stream_agent_response,  # pyright: ignore[reportUnknownVariableType]
)
from chatkit.errors import CustomStreamError
from chatkit.types import InferenceOptions, ThreadStreamEvent
from openai.types.responses import ResponseCompletedEvent

from app.chat.assistant import AGENT, Assistant
from app.chat.calls import CallRecorder
from app.chat.context import AssistantContext
from app.chat.failures import NO_VALID_RESULT, TOO_MANY_HANDOFFS
from app.chat.history import request_size
from app.chat.metering import UNNAMED, model_of
from app.chat.stream import is_idle, with_own_ids
from app.chat.turn_store import TurnStore
from app.store.usage import Usage

MAX_MODEL_CALLS = 10
MAX_HANDOFFS = 4


class AgentRun:
    """Runs the agent that has the thread, and those that it hands off to."""

    def __init__(self, assistant: Assistant, context: AssistantContext, store: TurnStore) -> None:
        self._assistant = assistant
        self._context = context
        self.calls = CallRecorder(context, store)
        self._handoffs = 0
        self._sent = 0
        self._model = UNNAMED
        self.result: RunResultStreaming | None = None

    async def events(
        self, history: list[TResponseInputItem], options: InferenceOptions
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Run to the end, and yield what the user sees.

        Raises:
            InputGuardrailTripwireTriggered, OutputGuardrailTripwireTriggered: it was stopped.
            CustomStreamError: it came to nothing; the message says why.
        """
        agent, config = self._chosen(options)
        self.result = Runner.run_streamed(
            agent, history, context=self._context, max_turns=MAX_MODEL_CALLS, run_config=config
        )
        try:
            observed = cast(RunResultStreaming, _Observed(self.result, self))
            shown = stream_agent_response(self._context, observed)
            async for event in with_own_ids(shown, self._context):
                yield event
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
        return self._assistant.meter.read(self._model, reported)

    @property
    def interruptions(self) -> Sequence[ToolApprovalItem]:
        """The calls that wait for the user's approval."""
        return self.result.interruptions if self.result else ()

    async def observe(self, event: StreamEvent) -> None:
        if isinstance(event, RunItemStreamEvent) and isinstance(event.item, HandoffOutputItem):
            self._handoffs += 1
            if self._handoffs > MAX_HANDOFFS:
                raise CustomStreamError(TOO_MANY_HANDOFFS, allow_retry=False)
        if isinstance(event, RawResponsesStreamEvent):
            self._learn(event.data)
        else:
            await self.calls.observe(event)

    def _measure(self, call: CallModelData[AssistantContext]) -> ModelInputData:
        """Note how many bytes a request has, for the history's estimate of tokens."""
        self._sent = request_size(call.model_data, call.agent)
        return call.model_data

    def _learn(self, event: TResponseStreamEvent) -> None:
        self._model = model_of(event) or self._model
        if isinstance(event, ResponseCompletedEvent) and event.response.usage:
            tokens = event.response.usage.input_tokens
            self._assistant.history.estimator.learn(self._sent, tokens)

    def _chosen(self, options: InferenceOptions) -> tuple[Agent[AssistantContext], RunConfig]:
        agent = self._assistant.agent_of(self._context.thread.metadata)
        if options.tool_choice is not None:
            settings = replace(agent.model_settings, tool_choice=options.tool_choice.id)
            agent = agent.clone(model_settings=settings)
        config = self._assistant.run_config(options)
        return agent, replace(config, call_model_input_filter=self._measure)

    def _finish(self, result: RunResultStreaming) -> None:
        """Keep the agent that has the thread now."""
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
                yield event
