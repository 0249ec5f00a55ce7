"""What a failure of a provider means: is it down, and may another model try?"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

from agents.exceptions import (
    _mark_error_to_drain_stream_events,  # pyright: ignore[reportPrivateUsage]
)
from openai import APIConnectionError, APIError, APIStatusError

from app.errors import ModelBusy

BUSY = 429
FALLS_BACK = frozenset({401, 402, 403, 404, 408, BUSY})
SERVER_ERROR = 500


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
def keeping_what_came() -> Generator[None]:
    """Have the Agents SDK pass on all that came before a failure: else it drops a part."""
    try:
        yield
    except Exception as error:
        _mark_error_to_drain_stream_events(error)
        raise


def status_of(error: APIError) -> int:
    """Return the status of a response, or the one that an event in the stream speaks of."""
    if isinstance(error, APIStatusError):
        return error.status_code
    body = error.body
    code = cast(dict[str, Any], body).get("code") if isinstance(body, dict) else None
    return code if isinstance(code, int) else SERVER_ERROR
