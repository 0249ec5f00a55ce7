"""OpenAI's Responses API, or a server that speaks it."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

from agents import ModelResponse, ModelSettings, OpenAIResponsesModel
from agents.items import TResponseStreamEvent
from openai import AsyncOpenAI

from chatkit_engine.models.completion import as_text, whole_answer
from chatkit_engine.models.item_ids import CallIds, input_of

ENCRYPTED = "reasoning.encrypted_content"
REASONING = re.compile(r"o\d|gpt-5(?!.*chat)")
NAMED_BY_OPENAI = ("message", "function_call")


class ResponsesModel(OpenAIResponsesModel):
    """A model that OpenAI keeps nothing for: each request brings all that it needs."""

    def __init__(self, name: str, client: AsyncOpenAI) -> None:
        super().__init__(name, client)

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        response = await super().get_response(*args, **kwargs)
        CallIds(input_of(args, kwargs)).in_output(response.output)
        return replace(response, output=as_text(response.output))

    async def stream_response(
        self, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[TResponseStreamEvent]:
        calls = CallIds(input_of(args, kwargs))
        async with aclosing(whole_answer(super().stream_response(*args, **kwargs))) as events:
            async for event in events:
                yield calls.in_event(event)

    async def _fetch_response(
        self,
        system_instructions: str | None,
        input: Any,
        model_settings: ModelSettings,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        taken = replace(
            model_settings, store=False, response_include=self._included(model_settings)
        )
        fetch: Any = super()._fetch_response
        return await fetch(system_instructions, stateless(input), taken, *args, **kwargs)

    def _included(self, model_settings: ModelSettings) -> list[Any] | None:
        """Have reasoning sent along, encrypted, by the models that reason; others refuse to."""
        included = list(model_settings.response_include or [])
        if REASONING.match(str(self.model)):
            included.append(ENCRYPTED)
        return included or None


def stateless(input: Any) -> Any:
    """Return the input without what refers to items at OpenAI, where `store=False` kept none.

    That is the ids of messages and calls, and reasoning whose content did not come with it.
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
    if values.get("type") not in NAMED_BY_OPENAI or "id" not in values:
        return values
    return {name: value for name, value in values.items() if name != "id"}
