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
from openai.types.chat.chat_completion_chunk import ChoiceDelta
from pydantic_core import to_json

from chatkit_engine.models.client import is_done
from chatkit_engine.models.completion import refusals_as_text, text_done, whole_answer
from chatkit_engine.models.item_ids import CallIds, ItemIds, input_of
from chatkit_engine.models.resilience import AnswerBroken
from chatkit_engine.models.thoughts import Thoughts


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
            for choice in fetched.choices:
                _think_apart(Thoughts(), choice.message, is_last=True)
            return fetched
        response, stream = fetched
        return response, WholeStream(stream)


class WholeStream:
    """A stream that raises if it ends without a `finish_reason` and without `[DONE]`.

    A connection that breaks off looks like the end of the answer to the SDK.
    """

    def __init__(self, stream: AsyncStream[ChatCompletionChunk]) -> None:
        self.response = stream.response
        self._stream = stream
        self._thoughts = Thoughts()

    async def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        has_ended, last = False, None
        async for chunk in self._stream:
            for choice in chunk.choices or ():
                has_ended = has_ended or bool(choice.finish_reason)
                _normalize(choice.delta)
                _think_apart(self._thoughts, choice.delta, is_last=bool(choice.finish_reason))
                last = chunk
            yield chunk
        if not has_ended and not is_done(self._stream):
            raise AnswerBroken("no finish_reason")
        if not has_ended and last is not None:
            yield self._rest(last)

    def _rest(self, last: ChatCompletionChunk) -> ChatCompletionChunk:
        """Return what was held back, as one more chunk, if no `finish_reason` had it sent."""
        rest = last.model_copy(deep=True)
        for choice in rest.choices:
            choice.delta = ChoiceDelta()
            choice.finish_reason = "stop"
            _think_apart(self._thoughts, choice.delta, is_last=True)
        return rest

    async def aclose(self) -> None:
        await self._stream.close()


def _think_apart(thoughts: Thoughts, message: Any, *, is_last: bool) -> None:
    """Move thoughts in a tag from a message, or a delta of one, to where others send them."""
    content = getattr(message, "content", None)
    thought, text = thoughts.take(content) if isinstance(content, str) else ("", content)
    if is_last:
        more_thought, more_text = thoughts.finish()
        thought, text = thought + more_thought, (text or "") + more_text or text
    if content is not None or text:
        message.content = text
    if thought:
        message.reasoning_content = thought


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
