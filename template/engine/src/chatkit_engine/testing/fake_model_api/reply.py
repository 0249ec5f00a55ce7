"""A scripted answer of the fake, for either wire format."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FOREVER_SECONDS = 3600
Arguments = dict[str, Any] | str


class CutOffError(Exception):
    """Breaks the connection in the middle of a response."""


class EarlyEnd(Exception):
    """Ends the response properly before the answer is complete."""


@dataclass
class Reply:
    """One answer. `text` is sent word by word. `calls` are tool calls, as name and arguments.

    Arguments that are a string are sent unchanged. `call_id` is the id of every call, if it is set.
    `annotations` have the format of the Responses API, and `incomplete` is its reason for stopping
    early. `usage` overrides the counts of `input`, `output` and `cached` tokens. `error_code` makes
    the answer fail after it has started. `events` (Responses API only) are sent unchanged, and None
    among them makes the answer hang. `choices` (Chat Completions only) are sent unchanged in the
    first chunks. Without `gives_reason` no `finish_reason` comes before
    `[DONE]`. `noise` is sent as it is before the text. `endless` is sent again and again after
    the text, every `endless_seconds`. Content that a wire format cannot carry, for example an
    image, is left out.
    """

    text: str = ""
    calls: Sequence[tuple[str, Arguments]] = ()
    status: int = 200
    split_surrogates: bool = False
    headers: Mapping[str, str] | None = None
    word_seconds: float = 0.0
    cut_after_words: int | None = None
    end_after_words: int | None = None
    hang_after_words: int | None = None
    hangs: bool = False
    call_id: str | None = None
    annotations: Sequence[dict[str, Any]] = ()
    reasoning: str = ""
    image: bytes | None = None
    events: Sequence[tuple[str, dict[str, Any]] | None] = ()
    choices: Sequence[list[dict[str, Any]] | None] = ()
    gives_reason: bool = True
    noise: bytes = b""
    endless: bytes = b""
    endless_seconds: float = 0.0
    refusal: str = ""
    incomplete: str | None = None
    error_code: str | None = None
    usage: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def words(self) -> list[str]:
        words = [word + " " for word in self.text.split()]
        return list("".join(words)) if self.split_surrogates else words

    @property
    def tokens(self) -> dict[str, int]:
        return {"input": 10, "output": 5, "cached": 0} | dict(self.usage)

    async def paced(self) -> AsyncGenerator[str]:
        """Yield the words one by one, and fail or pause between them as scripted."""
        for position, word in enumerate(self.words):
            if position == self.cut_after_words:
                raise CutOffError
            if position == self.end_after_words:
                raise EarlyEnd
            if position == self.hang_after_words:
                await asyncio.sleep(FOREVER_SECONDS)
            if self.word_seconds:
                await asyncio.sleep(self.word_seconds)
            yield word

    async def forever(self) -> AsyncGenerator[bytes]:
        """Yield what never ends. Without such a part, yield nothing."""
        while self.endless:
            yield self.endless
            await asyncio.sleep(self.endless_seconds)


def tool_call(name: str, **arguments: Any) -> Reply:
    """Return the answer of a model that calls a tool."""
    return Reply(calls=[(name, arguments)])


def words_of(text: str) -> list[str]:
    return [word + " " for word in text.split()]


def raw(arguments: Arguments) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)


def text_of(item: Mapping[str, Any]) -> str:
    """Return the text of a message in either wire format."""
    content = item.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in content)
