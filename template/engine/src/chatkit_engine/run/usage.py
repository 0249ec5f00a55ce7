"""What a run has used, and what that costs."""

import re
from collections.abc import Mapping, Sequence

from agents import Usage as Reported
from agents.items import TResponseStreamEvent
from openai.types.responses import ResponseCompletedEvent, ResponseCreatedEvent

from chatkit_engine.store.usage import Usage

MILLION = 1_000_000
MOST = 2**53
UNNAMED = "unnamed"
SNAPSHOT = re.compile(r"[-@](latest|\d{3,8}|\d{4}-\d{2}-\d{2})")


class Meter:
    """Reads what providers report, by the prices of `LLM_PRICES`."""

    def __init__(self, prices: Mapping[str, Sequence[float]]) -> None:
        self._prices = prices

    def read(self, model: str, reported: Reported) -> Usage | None:
        """Return what a run has used of the model; None when no request was answered."""
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
        return sum(count * price for count, price in zip(tokens, prices, strict=True)) / MILLION

    def _prices_of(self, model: str) -> Sequence[float] | None:
        """Return the model's own prices, or those of the model that it is a snapshot of."""
        names = sorted(self._prices, key=len, reverse=True)
        return next((self._prices[name] for name in names if _is_or_snapshot(model, name)), None)


def model_of(event: TResponseStreamEvent) -> str:
    """Return the model that answers, as its provider calls it; empty where the event is silent."""
    named = isinstance(event, ResponseCreatedEvent | ResponseCompletedEvent)
    return event.response.model if named else ""


def _is_or_snapshot(model: str, name: str) -> bool:
    rest = model.removeprefix(name) if model.startswith(name) else None
    return rest == "" or (rest is not None and SNAPSHOT.fullmatch(rest) is not None)


def _count(tokens: int) -> int:
    """Bound a number that another server has made up."""
    return max(0, min(tokens, MOST))
