"""A circuit breaker: a provider that is down is left alone for a while, then tried once."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, contextmanager
from math import ceil
from time import monotonic
from typing import Any, cast

import structlog
from agents import Model, ModelResponse, ModelRetryAdvice, ModelRetryAdviceRequest
from agents.items import TResponseStreamEvent
from openai.types.responses import ResponseCompletedEvent

from app.errors import ModelBusy
from app.providers.failures import is_down, keeping_what_came

log = structlog.stdlib.get_logger(__name__)

OPENING_EVENTS = frozenset({"response.created", "response.in_progress", "response.queued"})


class BreakerOpen(ModelBusy):
    """The provider failed too often, and is not asked just now."""


class Breaker:
    """Counts the failures in a row. State is this process's own; `clock` is in seconds.

    Open, it refuses everything for `seconds`; then it lets one attempt through, the probe, whose
    first word closes it. Answers that are refusals (4xx) and cancellations change nothing.
    """

    def __init__(
        self, name: str, failures: int, seconds: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self.name = name
        self._most = failures
        self._seconds = seconds
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._probe: object | None = None

    @property
    def trouble(self) -> str:
        """What an operator should know, or nothing while it is closed."""
        if self._opened_at is None:
            return ""
        wait = ceil(max(self._opened_at + self._seconds - self._clock(), 0))
        return f"{self.name} is down; it is tried again in {wait} s"

    @contextmanager
    def attempt(self) -> Generator[object]:
        """Hold the attempt at one request, and judge it by how the block ends.

        Raises:
            BreakerOpen: the provider must not be asked now.
        """
        attempt = self._admit()
        try:
            yield attempt
            self.succeeded(attempt)
        except Exception as error:
            if is_down(error):
                self._failed(attempt)
            raise
        finally:
            if self._probe is attempt:
                self._probe = None

    def answered(self, attempt: object) -> None:
        """Take the first word of an answer: it closes the breaker if this was the probe."""
        if self._probe is attempt:
            log.info("a model is back", model=self.name)
            self._opened_at = self._probe = None
            self._failures = 0

    def succeeded(self, attempt: object) -> None:
        """Take a whole answer: failures are counted anew."""
        self.answered(attempt)
        if self._opened_at is None:
            self._failures = 0

    def _admit(self) -> object:
        attempt = object()
        if self._opened_at is None:
            return attempt
        if self._probe is not None or self._clock() < self._opened_at + self._seconds:
            raise BreakerOpen
        self._probe = attempt
        return attempt

    def _failed(self, attempt: object) -> None:
        if self._probe is attempt:
            self._opened_at = self._clock()
        elif self._opened_at is None:
            self._failures += 1
            if self._failures >= self._most:
                self._opened_at = self._clock()
                log.warning("a model is down", model=self.name, failures=self._failures)


class GuardedModel(Model):
    """A model behind its breaker."""

    def __init__(self, model: Model, breaker: Breaker) -> None:
        self._model = model
        self._breaker = breaker

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        with self._breaker.attempt():
            return await self._model.get_response(*args, **kwargs)

    async def stream_response(
        self, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[TResponseStreamEvent]:
        with self._breaker.attempt() as attempt, keeping_what_came():
            async with aclosing(stream_of(self._model, *args, **kwargs)) as events:
                has_begun = False
                async for event in events:
                    if not has_begun and is_output(event):
                        has_begun = True
                        self._breaker.answered(attempt)
                    if isinstance(event, ResponseCompletedEvent):
                        self._breaker.succeeded(attempt)
                    yield event

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice | None:
        return self._model.get_retry_advice(request)


def stream_of(model: Model, *args: Any, **kwargs: Any) -> AsyncGenerator[TResponseStreamEvent]:
    """Return a model's stream as what every model here makes of it: a generator."""
    return cast(AsyncGenerator[TResponseStreamEvent], model.stream_response(*args, **kwargs))


def is_output(event: TResponseStreamEvent) -> bool:
    """Say whether the event is part of an answer: from there on no other answer may begin."""
    return event.type not in OPENING_EVENTS
