"""Converts the token usage that a provider reports, and calculates its cost."""

from collections.abc import Mapping, Sequence
from re import escape, fullmatch

from agents import Usage as Reported
from agents.items import TResponseStreamEvent
from openai.types.responses import ResponseCompletedEvent, ResponseCreatedEvent

from chatkit_engine.store.usage import Usage

PRICED_TOKENS = 1_000_000
MAX_TOKENS = 2**53
UNNAMED = "unnamed"
# What follows a model's name in the name of its snapshot, for example -2025-08-07, -001 or @latest.
SNAPSHOT_SUFFIX = r"([-@](latest|\d{3,8}|\d{4}-\d{2}-\d{2}))?"


class Meter:
    """Calculates costs from `LLM_PRICES`: USD per million input, cached and output tokens."""

    def __init__(self, prices: Mapping[str, Sequence[float]]) -> None:
        self._prices = prices

    def read(self, model: str, reported: Reported) -> Usage | None:
        """Return the usage and cost of a run, or None if no request was answered."""
        if not reported.requests:
            return None
        input_tokens = _count(reported.input_tokens)
        cached_tokens = min(_count(reported.input_tokens_details.cached_tokens), input_tokens)
        output_tokens = _count(reported.output_tokens)
        return Usage(
            model=model,
            requests=reported.requests,
            input_tokens=input_tokens,
            cached_tokens=cached_tokens,
            output_tokens=output_tokens,
            reasoning_tokens=_count(reported.output_tokens_details.reasoning_tokens),
            cost=self._cost(model, input_tokens - cached_tokens, cached_tokens, output_tokens),
        )

    def _cost(self, model: str, *tokens: int) -> float | None:
        prices = self._prices_of(model)
        if prices is None:
            return None
        costs = (count * price for count, price in zip(tokens, prices, strict=True))
        return sum(costs) / PRICED_TOKENS

    def _prices_of(self, model: str) -> Sequence[float] | None:
        """Return the prices of the model, or of the model that it is a snapshot of."""
        # The longest name first, because the more specific price applies.
        names = sorted(self._prices, key=len, reverse=True)
        matching = (name for name in names if fullmatch(escape(name) + SNAPSHOT_SUFFIX, model))
        return next((self._prices[name] for name in matching), None)


def model_of(event: TResponseStreamEvent) -> str:
    """Return the name of the model that answers, or "" if the event has none."""
    has_model = isinstance(event, ResponseCreatedEvent | ResponseCompletedEvent)
    return event.response.model if has_model else ""


def _count(tokens: int) -> int:
    """Limit a number that another server sends to what a database column can hold."""
    return max(0, min(tokens, MAX_TOKENS))
