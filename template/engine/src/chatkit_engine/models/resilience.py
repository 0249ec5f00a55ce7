"""What a failure of a provider means: is it down, and may another model try?

When the Agents SDK asks a model again: before its first word only, and as long as it is told.

A circuit breaker: a provider that is down is left alone for a while, then tried once.

A second model that answers where the first one fails before its first word."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, contextmanager
from math import ceil
from time import monotonic
from typing import Any, cast

import structlog
from agents import (
    Model,
    ModelResponse,
    ModelRetryAdvice,
    ModelRetryAdviceRequest,
    ModelRetryBackoffSettings,
    ModelRetrySettings,
)
from agents.items import TResponseStreamEvent
from agents.retry import RetryPolicy, RetryPolicyContext
from openai import APIConnectionError, APIError, APIStatusError
from openai.types.responses import ResponseCompletedEvent

from chatkit_engine.errors import ModelBusy
from chatkit_engine.upstream import mark_error_to_drain_stream_events

BUSY = 429
FALLS_BACK = frozenset({401, 402, 403, 404, 408, BUSY})
SERVER_ERROR = 500

# Seconds: 0.25, 0.5, 1, 2, 2, ... , each with a random part, so that clients do not come in step.
PAUSES = ModelRetryBackoffSettings(initial_delay=0.25, multiplier=2.0, max_delay=2.0, jitter=True)
log = structlog.stdlib.get_logger(__name__)
OPENING_EVENTS = frozenset({"response.created", "response.in_progress", "response.queued"})


class AnswerBroken(Exception):
    """The provider failed in its answer, or broke it off. `code` is its own word for it."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the model's answer ended with {code}")
        self.code = code


class AnswerRefused(AnswerBroken):
    """The provider will not answer this request: its fault is in the request."""


def is_down(error: Exception) -> bool:
    """Say whether the provider is not there: what it says of itself or of us (4xx) is an answer."""
    if isinstance(error, AnswerRefused):
        return False
    if isinstance(error, APIConnectionError | TimeoutError | AnswerBroken):
        return True
    return isinstance(error, APIError) and status_of(error) >= SERVER_ERROR


def may_fall_back(error: Exception) -> bool:
    """Say whether another model may succeed: not where the request itself is at fault."""
    if isinstance(error, ModelBusy) or is_down(error):
        return True
    return isinstance(error, APIError) and status_of(error) in FALLS_BACK


@contextmanager
def keep_partial_output() -> Generator[None]:
    """Have the Agents SDK pass on all that came before a failure: else it drops a part."""
    try:
        yield
    except Exception as error:
        mark_error_to_drain_stream_events(error)
        raise


def status_of(error: APIError) -> int:
    """Return the status of a response, or the one that an event in the stream speaks of."""
    if isinstance(error, APIStatusError):
        return error.status_code
    body = error.body
    code = cast(dict[str, Any], body).get("code") if isinstance(body, dict) else None
    return code if isinstance(code, int) else SERVER_ERROR


def retry_settings(max_retries: int, longest_wait: float) -> ModelRetrySettings:
    """Return the settings. Retry-After is honoured up to `longest_wait` seconds."""
    return ModelRetrySettings(max_retries=max_retries, backoff=PAUSES, policy=_policy(longest_wait))


def _policy(longest_wait: float) -> RetryPolicy:
    def policy(context: RetryPolicyContext) -> bool:
        advice = context.provider_advice
        suggested = advice.suggested if advice else None
        wait = context.normalized.retry_after
        if suggested is False or (wait is not None and wait > longest_wait):
            return False
        return suggested is True or is_down(context.error)

    return policy


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
        with self._breaker.attempt() as attempt, keep_partial_output():
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


class FallbackModel(Model):
    """Two models as one. What the first has begun, the second never goes on with."""

    def __init__(self, first: Model, second: Model) -> None:
        self._first = first
        self._second = second

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        try:
            return await self._first.get_response(*args, **kwargs)
        except Exception as error:
            if not may_fall_back(error):
                raise
            _log(error)
        return await self._second.get_response(*args, **kwargs)

    async def stream_response(
        self, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[TResponseStreamEvent]:
        has_begun = False
        try:
            async with aclosing(stream_of(self._first, *args, **kwargs)) as events:
                async for event in events:
                    has_begun = has_begun or is_output(event)
                    yield event
                return
        except Exception as error:
            if has_begun or not may_fall_back(error):
                raise
            _log(error)
        async with aclosing(stream_of(self._second, *args, **kwargs)) as events:
            async for event in events:
                yield event

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice | None:
        return self._first.get_retry_advice(request)


def _log(error: Exception) -> None:
    log.warning("the fallback model answers", error=type(error).__name__)
