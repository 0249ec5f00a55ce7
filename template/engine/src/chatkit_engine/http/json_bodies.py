"""Bounds the shape of a JSON body before anything parses it.

Parsing costs time and memory for each value, up to a hundred times the size of the text, and
validation costs more. So the values, the depth and the numbers are bounded on the bytes, with a few
passes that run in C.
"""

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.datastructures import Headers
from starlette.types import Scope

from chatkit_engine.errors import BadRequest
from chatkit_engine.i18n import _

T = TypeVar("T")
# A larger body is checked, and parsed if it is a ChatKit request, in a thread.
LARGE_BODY = 16 * 1024
MAX_VALUES = 10_000
MAX_DEPTH = 64
# Python converts long integers in quadratic time, and refuses those of more than 4300 digits.
MAX_DIGITS = 1000
SAME_DIGIT = bytes.maketrans(b"123456789", b"0" * 9)
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


async def off_loop_if_large(work: Callable[[bytes], T], body: bytes, threads: CapacityLimiter) -> T:
    """Return `work(body)`. If the body is large, it runs in a thread."""
    if len(body) <= LARGE_BODY:
        return work(body)
    return await to_thread.run_sync(work, body, limiter=threads)


def media_type_of(scope: Scope) -> str:
    """Return the media type of a request's body, or an empty string."""
    return Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()


def is_json(media_type: str) -> bool:
    """Return whether a body of this type may be parsed as JSON, as one without a type may."""
    return media_type in ("", "text/plain") or media_type.endswith(("/json", "+json"))


def check_shape(body: bytes) -> None:
    """Check the bounds. Whether it is valid JSON is left to the parser.

    Raises:
        BadRequest: the body is nested too deeply, or has too many values or too long a number.
    """
    # A NUL means UTF-16 or UTF-32, which Python's parser would accept.
    if b"\x00" in body:
        raise BadRequest(_("The body must be JSON in UTF-8."))
    outside = _outside_of_strings(body)
    brackets = outside.translate(None, NOT_BRACKETS)
    # A bracket too many is not valid, but must not be counted at length either.
    if outside.count(b",") + len(brackets) / 2 > MAX_VALUES:
        raise _too_many_values()
    if _depth(brackets) > MAX_DEPTH:
        raise BadRequest(
            _("The JSON in the body is nested more than {max} levels deep.", max=MAX_DEPTH)
        )
    if b"0" * (MAX_DIGITS + 1) in outside.translate(SAME_DIGIT):
        raise BadRequest(_("A number in the body has too many digits."))
    # Python's parser accepts NaN and Infinity, which are not JSON and cannot be stored.
    if b"N" in outside or b"I" in outside:
        raise BadRequest(_("The body has NaN or Infinity, which are not valid in JSON."))


def _outside_of_strings(body: bytes) -> bytes:
    """Return the body without the contents of its strings."""
    # In this order: `\\"` is a backslash and the end of the string.
    text = body.replace(rb"\\", b"").replace(rb"\"", b"")
    # A string is a value or the name of one.
    if text.count(b'"') > 4 * MAX_VALUES:
        raise _too_many_values()
    return b'"'.join(text.split(b'"')[::2])


def _depth(brackets: bytes) -> int:
    depth = deepest = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _too_many_values() -> BadRequest:
    return BadRequest(_("The JSON in the body has more than {max} values.", max=MAX_VALUES))
