"""Tests the circuit breaker: when it opens, which requests it lets through, and when it closes."""

import asyncio

import httpx2
import pytest
from openai import APIConnectionError, APIStatusError, APITimeoutError

from chatkit_engine.models.resilience import AnswerBroken, AnswerRefused, Breaker, BreakerOpen

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/responses")
FAILURES = 3
SECONDS = 30.0


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("some model", FAILURES, SECONDS, clock)


def _status(status: int) -> Exception:
    return APIStatusError("no", response=httpx2.Response(status, request=REQUEST), body=None)


def _fails(breaker: Breaker, error: BaseException) -> None:
    with pytest.raises(type(error)), breaker.attempt():
        raise error


def _succeeds(breaker: Breaker) -> None:
    with breaker.attempt():
        pass


def _opened(breaker: Breaker) -> None:
    for _ in range(FAILURES):
        _fails(breaker, _status(500))


def _refuses(breaker: Breaker) -> bool:
    try:
        _fails(breaker, asyncio.CancelledError())
    except BreakerOpen:
        return True
    return False


@pytest.mark.parametrize(
    "error",
    [
        _status(500),
        _status(503),
        APITimeoutError(REQUEST),
        APIConnectionError(request=REQUEST),
        AnswerBroken("no end"),
    ],
)
def test_failures_in_a_row_open_it(breaker: Breaker, error: Exception) -> None:
    for _ in range(FAILURES):
        assert not _refuses(breaker)
        _fails(breaker, error)

    assert _refuses(breaker)
    assert "some model is down" in breaker.problem


@pytest.mark.parametrize(
    "error",
    [
        _status(400),
        _status(401),
        _status(429),
        AnswerRefused("invalid_prompt"),
        asyncio.CancelledError(),
        GeneratorExit(),
        ValueError("ours"),
    ],
)
def test_failures_that_are_not_the_providers_do_not_count(
    breaker: Breaker, error: BaseException
) -> None:
    for _ in range(FAILURES - 1):
        _fails(breaker, _status(500))
    for _ in range(10):
        _fails(breaker, error)

    assert not _refuses(breaker)
    _fails(breaker, _status(500))
    assert _refuses(breaker)


def test_a_success_between_failures_keeps_it_closed(breaker: Breaker) -> None:
    for _ in range(10):
        _fails(breaker, _status(500))
        _fails(breaker, _status(500))
        _succeeds(breaker)

    assert not _refuses(breaker)
    assert breaker.problem == ""


def test_it_stays_open_for_its_time(breaker: Breaker, clock: Clock) -> None:
    _opened(breaker)

    clock.now += SECONDS - 0.001
    assert _refuses(breaker)
    clock.now += 0.001
    assert not _refuses(breaker)


def test_half_open_it_lets_one_through_and_refuses_the_others(
    breaker: Breaker, clock: Clock
) -> None:
    _opened(breaker)
    clock.now += SECONDS

    with breaker.attempt():
        assert _refuses(breaker)

    assert not _refuses(breaker)
    assert breaker.problem == ""


def test_the_probes_first_word_closes_it(breaker: Breaker, clock: Clock) -> None:
    _opened(breaker)
    clock.now += SECONDS

    with breaker.attempt() as probe:
        breaker.answered(probe)
        assert not _refuses(breaker)


def test_a_probe_that_fails_opens_it_for_as_long_again(breaker: Breaker, clock: Clock) -> None:
    _opened(breaker)
    clock.now += SECONDS
    _fails(breaker, _status(502))

    clock.now += SECONDS - 1
    assert _refuses(breaker)
    clock.now += 1
    assert not _refuses(breaker)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit(), _status(429)])
def test_a_probe_without_a_result_allows_another(
    breaker: Breaker, clock: Clock, error: BaseException
) -> None:
    _opened(breaker)
    clock.now += SECONDS
    _fails(breaker, error)

    with breaker.attempt():
        assert _refuses(breaker)


def test_requests_from_before_it_opened_change_nothing(breaker: Breaker, clock: Clock) -> None:
    with breaker.attempt() as early:
        _opened(breaker)
        breaker.answered(early)
        breaker.succeeded(early)
        assert _refuses(breaker)

    assert _refuses(breaker)
