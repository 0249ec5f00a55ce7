"""The Chat Completions API, for every provider except OpenAI."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

from agents import ModelResponse, ModelSettings, OpenAIChatCompletionsModel
from agents.items import TResponseStreamEvent
from agents.models.chatcmpl_helpers import ChatCmplHelpers
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic_core import to_json

from chatkit_engine.models.completion import refusals_as_text, text_done, whole_answer
from chatkit_engine.models.item_ids import CallIds, ItemIds, input_of
from chatkit_engine.models.resilience import AnswerBroken


class ChatCompletionsModel(OpenAIChatCompletionsModel):
    """The Agents SDK's model, with unique item ids, and an error for an answer that breaks off."""

    def __init__(self, name: str, client: AsyncOpenAI) -> None:
        super().__init__(name, client)

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        response = await super().get_response(*args, **kwargs)
        ItemIds().set_in_output(response.output)
        CallIds(input_of(args, kwargs)).set_in_output(response.output)
        return replace(response, output=refusals_as_text(response.output))

    async def stream_response(
        self, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[TResponseStreamEvent]:
        ids, calls = ItemIds(), CallIds(input_of(args, kwargs))
        async with aclosing(whole_answer(super().stream_response(*args, **kwargs))) as events:
            async for event in events:
                if done := text_done(event):
                    yield ids.set_in_event(done)
                yield calls.set_in_event(ids.set_in_event(event))

    async def _fetch_response(
        self,
        system_instructions: str | None,
        input: Any,
        model_settings: ModelSettings,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        # Other providers refuse `store`, which only OpenAI knows.
        store = False if ChatCmplHelpers.is_openai(self._client) else None
        settings = replace(model_settings, store=store, include_usage=True)
        fetch: Any = super()._fetch_response
        fetched = await fetch(system_instructions, input, settings, *args, **kwargs)
        if isinstance(fetched, ChatCompletion):
            return fetched
        response, stream = fetched
        return response, WholeStream(stream)


class WholeStream:
    """A stream that raises if it ends without a `finish_reason`.

    A connection that breaks off looks like the end of the answer to the SDK.
    """

    def __init__(self, stream: AsyncStream[ChatCompletionChunk]) -> None:
        self.response = stream.response
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        has_ended = False
        async for chunk in self._stream:
            has_ended = has_ended or any(choice.finish_reason for choice in chunk.choices or ())
            for choice in chunk.choices or ():
                _normalize(choice.delta)
            yield chunk
        if not has_ended:
            raise AnswerBroken("no finish_reason")

    async def aclose(self) -> None:
        await self._stream.close()


def _normalize(delta: Any) -> None:
    """Make text of what some servers send as values: arguments, and content in parts."""
    content: Any = getattr(delta, "content", None)
    if isinstance(content, list):
        parts = cast(list[dict[str, Any]], content)
        delta.content = "".join(str(part.get("text") or "") for part in parts)
    for call in getattr(delta, "tool_calls", None) or ():
        arguments: Any = getattr(call.function, "arguments", None)
        if arguments is not None and not isinstance(arguments, str):
            call.function.arguments = to_json(arguments).decode()
