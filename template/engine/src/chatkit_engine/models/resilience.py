"""Retries, a circuit breaker and a fallback model, for providers that fail.

A request is retried, or passed to the fallback, only before the first output event, because the
client has already seen what came after it. The Agents SDK does the retries.
"""

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
from agents.retry import RetryPolicyContext
from openai import APIConnectionError, APIError
from openai.types.responses import ResponseCompletedEvent

from chatkit_engine.errors import ModelBusy
from chatkit_engine.models.answer_limits import (
    AnswerOverLimit,
    bounded_output,
    check_output,
    over_limit,
)
from chatkit_engine.models.provider_errors import SERVER_ERROR, explain, refusal, status_of
from chatkit_engine.upstream import mark_error_to_drain_stream_events

log = structlog.stdlib.get_logger(__name__)

# The account, the model or the load is at fault, not the request: another model may answer.
FALLBACK_STATUSES = frozenset({401, 402, 403, 404, 408, 429})
# 0.25, 0.5, 1, 2, 2, ... seconds, with jitter so that clients do not retry at the same moment.
BACKOFF = ModelRetryBackoffSettings(initial_delay=0.25, multiplier=2.0, max_delay=2.0, jitter=True)
OPENING_EVENTS = frozenset({"response.created", "response.in_progress", "response.queued"})


class AnswerBroken(Exception):
    """The answer failed or broke off midway. `code` is the provider's error code."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the model's answer ended with {code}")
        self.code = code


class AnswerRefused(AnswerBroken):
    """The provider refuses to answer this request, so a retry does not help."""


def is_down(error: Exception) -> bool:
    """Return whether the provider is down. A 4xx status means that it is up."""
    if isinstance(error, AnswerRefused):
        return False
    if isinstance(error, APIConnectionError | TimeoutError | AnswerBroken | AnswerOverLimit):
        return True
    return isinstance(error, APIError) and status_of(error) >= SERVER_ERROR


def may_fall_back(error: Exception) -> bool:
    """Return whether another model may succeed. Not if the request itself is invalid."""
    if isinstance(error, ModelBusy) or is_down(error):
        return True
    return isinstance(error, APIError) and status_of(error) in FALLBACK_STATUSES


@contextmanager
def keep_partial_output() -> Generator[None]:
    """Make the Agents SDK pass on all events before a failure. By default it drops some."""
    try:
        yield
    except Exception as error:
        mark_error_to_drain_stream_events(error)
        raise


def retry_settings(max_retries: int, longest_wait: float) -> ModelRetrySettings:
    """Return the settings. Retry-After is honoured up to `longest_wait` seconds."""

    def policy(context: RetryPolicyContext) -> bool:
        advice = context.provider_advice
        suggested = advice.suggested if advice else None
        wait = context.normalized.retry_after
        # Another answer of this kind would take as long again.
        if over_limit(context.error) is not None:
            return False
        if suggested is False or (wait is not None and wait > longest_wait):
            return False
        return suggested is True or is_down(context.error)

    return ModelRetrySettings(max_retries=max_retries, backoff=BACKOFF, policy=policy)


class BreakerOpen(ModelBusy):
    """The provider failed too often and is not called for now."""


class Breaker:
    """A circuit breaker for one model, in one process. It opens after `failures` in a row.

    While open, it refuses all requests for `seconds`. Then it lets one through, the probe, and
    closes at the probe's first output. 4xx responses and cancellations change nothing. `clock`
    returns seconds.
    """

    def __init__(
        self, name: str, failures: int, seconds: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self.name = name
        self._max_failures = failures
        self._seconds = seconds
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._probe: object | None = None
        self._refusal = ""

    @property
    def problem(self) -> str:
        """What operators should know; empty if the model answers, as far as is known."""
        if self._opened_at is None:
            return f"{self.name}: {self._refusal}" if self._refusal else ""
        wait = ceil(max(self._opened_at + self._seconds - self._clock(), 0))
        return f"{self.name} is down; the next attempt is in {wait} s"

    @contextmanager
    def attempt(self) -> Generator[object]:
        """Guard one request; how the block ends decides whether it failed.

        Raises:
            BreakerOpen: the provider must not be called now.
        """
        attempt = self._admit()
        try:
            yield attempt
            self.succeeded(attempt)
        except Exception as error:
            self._refusal = refusal(error) or self._refusal
            if is_down(error):
                self._failed(attempt)
            raise
        finally:
            if self._probe is attempt:
                self._probe = None

    def answered(self, attempt: object) -> None:
        """Record the first output. If this is the probe, it closes the breaker."""
        if self._probe is attempt:
            log.info("a model is back", model=self.name)
            self._opened_at = self._probe = None
            self._failures = 0

    def succeeded(self, attempt: object) -> None:
        """Record a complete answer, which resets the count of failures."""
        self.answered(attempt)
        self._refusal = ""
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
            if self._failures >= self._max_failures:
                self._opened_at = self._clock()
                log.warning("a model is down", model=self.name, failures=self._failures)


class GuardedModel(Model):
    """A model behind a circuit breaker."""

    def __init__(self, model: Model, breaker: Breaker) -> None:
        self._model = model
        self._breaker = breaker

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        with self._breaker.attempt():
            response = await self._model.get_response(*args, **kwargs)
            check_output(response.output)
            return response

    async def stream_response(
        self, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[TResponseStreamEvent]:
        with self._breaker.attempt() as attempt, keep_partial_output():
            async with aclosing(stream_of(self._model, *args, **kwargs)) as events:
                has_begun = False
                async for event in bounded_output(events):
                    if not has_begun and is_output(event):
                        has_begun = True
                        self._breaker.answered(attempt)
                    if isinstance(event, ResponseCompletedEvent):
                        self._breaker.succeeded(attempt)
                    yield event

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice | None:
        return self._model.get_retry_advice(request)


def stream_of(model: Model, *args: Any, **kwargs: Any) -> AsyncGenerator[TResponseStreamEvent]:
    """Return a model's stream as a generator, which every model returns, so it can be closed."""
    return cast(AsyncGenerator[TResponseStreamEvent], model.stream_response(*args, **kwargs))


def is_output(event: TResponseStreamEvent) -> bool:
    """Return whether the event is part of the answer. After it, no other model may start one."""
    return event.type not in OPENING_EVENTS


class FallbackModel(Model):
    """Calls the second model if the first one fails before its first output."""

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
    reason = explain(error) or "its answer broke off"
    log.warning(f"the fallback model answers: {reason}", error=type(error).__name__)
