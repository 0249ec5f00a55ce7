"""The Responses API of OpenAI or a compatible server, used without state on the server."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

from agents import ModelResponse, ModelSettings, OpenAIResponsesModel
from agents.items import TResponseStreamEvent
from openai import AsyncOpenAI

from chatkit_engine.models.completion import refusals_as_text, whole_answer
from chatkit_engine.models.item_ids import CallIds, input_of

ENCRYPTED_REASONING = "reasoning.encrypted_content"
REASONING_MODELS = re.compile(r"o\d|gpt-5(?!.*chat)")
ITEMS_WITH_SERVER_ID = ("message", "function_call")


class ResponsesModel(OpenAIResponsesModel):
    """The Agents SDK's model with `store=False`: each request contains the whole input."""

    def __init__(self, name: str, client: AsyncOpenAI) -> None:
        super().__init__(name, client)

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        response = await super().get_response(*args, **kwargs)
        CallIds(input_of(args, kwargs)).set_in_output(response.output)
        return replace(response, output=refusals_as_text(response.output))

    async def stream_response(
        self, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[TResponseStreamEvent]:
        calls = CallIds(input_of(args, kwargs))
        async with aclosing(whole_answer(super().stream_response(*args, **kwargs))) as events:
            async for event in events:
                yield calls.set_in_event(event)

    async def _fetch_response(
        self,
        system_instructions: str | None,
        input: Any,
        model_settings: ModelSettings,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        included = list[Any](model_settings.response_include or [])
        # Models that do not reason refuse the parameter.
        if REASONING_MODELS.match(str(self.model)):
            included.append(ENCRYPTED_REASONING)
        settings = replace(model_settings, store=False, response_include=included or None)
        fetch: Any = super()._fetch_response
        return await fetch(system_instructions, stateless(input), settings, *args, **kwargs)


def stateless(input: Any) -> Any:
    """Return the input without references to items that OpenAI would have to have stored.

    These are the ids of messages and calls, and reasoning items without their encrypted content.
    """
    if not isinstance(input, list):
        return input
    items = cast(list[Any], input)
    return [_without_id(item) for item in items if not _is_reference(item)]


def _is_reference(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    values = cast(dict[str, Any], item)
    is_foreign = "provider_data" in values or not values.get("encrypted_content")
    return values.get("type") == "reasoning" and is_foreign


def _without_id(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    values = cast(dict[str, Any], item)
    if values.get("type") not in ITEMS_WITH_SERVER_ID or "id" not in values:
        return values
    return {name: value for name, value in values.items() if name != "id"}
