"""Chat Completions: every provider but OpenAI itself, with what the Agents SDK leaves open."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from agents import ModelResponse, ModelSettings, OpenAIChatCompletionsModel
from agents.items import TResponseStreamEvent
from agents.models.chatcmpl_helpers import ChatCmplHelpers
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from chatkit_engine.models.completion import as_text, end_of_text, whole_answer
from chatkit_engine.models.item_ids import CallIds, ItemIds, input_of
from chatkit_engine.models.resilience import AnswerBroken


class ChatCompletionsModel(OpenAIChatCompletionsModel):
    """A model whose items have ids of their own, and whose answers are whole or an error."""

    def __init__(self, name: str, client: AsyncOpenAI) -> None:
        super().__init__(name, client)

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        response = await super().get_response(*args, **kwargs)
        ItemIds().in_output(response.output)
        CallIds(input_of(args, kwargs)).in_output(response.output)
        return replace(response, output=as_text(response.output))

    async def stream_response(
        self, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[TResponseStreamEvent]:
        ids, calls = ItemIds(), CallIds(input_of(args, kwargs))
        async with aclosing(whole_answer(super().stream_response(*args, **kwargs))) as events:
            async for event in events:
                if text_done := end_of_text(event):
                    yield ids.in_event(text_done)
                yield calls.in_event(ids.in_event(event))

    async def _fetch_response(
        self,
        system_instructions: str | None,
        input: Any,
        model_settings: ModelSettings,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Send what the provider takes: `store` is OpenAI's own, and others refuse it."""
        store = False if ChatCmplHelpers.is_openai(self._client) else None
        taken = replace(model_settings, store=store, include_usage=True)
        fetch: Any = super()._fetch_response
        fetched = await fetch(system_instructions, input, taken, *args, **kwargs)
        if isinstance(fetched, ChatCompletion):
            return fetched
        response, stream = fetched
        return response, WholeStream(stream)


class WholeStream:
    """A stream of chunks that must say why it ends: the SDK takes one that broke off for whole."""

    def __init__(self, stream: AsyncStream[ChatCompletionChunk]) -> None:
        self.response = stream.response
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        has_ended = False
        async for chunk in self._stream:
            has_ended = has_ended or any(choice.finish_reason for choice in chunk.choices or ())
            yield chunk
        if not has_ended:
            raise AnswerBroken("no finish_reason")

    async def aclose(self) -> None:
        await self._stream.close()
