"""The answer of a turn: words that can be counted, and the model's own clock in two of them.

The first and the last word are `@` and the nanoseconds from the request's arrival at the model
to the sending of that word, so that the model's own time can be taken off what a client sees.
Every word is one delta of the model; a server may merge deltas, and their words still count.
"""

import re
from functools import cache

CLOCK_DIGITS = 12
MIN_WORDS = 2
TEAM_TASK = "Let the writer look at the clock and at what I said before. "
ORDER = re.compile(r"Write (\d+) words at (\d+) a second\.")


def order(words: int, pace: int, task: str = "") -> str:
    """Return the user's message that asks for `words`, sent at `pace` words a second."""
    return f"{task}Write {words} words at {pace} a second."


def read_order(text: str) -> tuple[int, int]:
    """Return the words and the pace of the last order in `text`."""
    words, pace = ORDER.findall(text)[-1]
    return int(words), int(pace)


def clock(nanoseconds: int) -> str:
    return f"@{nanoseconds:0{CLOCK_DIGITS}d} "


def read_clock(word: str) -> int:
    """Return the nanoseconds of a first or last word."""
    return int(word[1 : CLOCK_DIGITS + 1])


def middle(words: int) -> list[str]:
    """Return the words between the first and the last."""
    return [f"w{number:04d} " for number in range(1, words - 1)]


def is_whole(text: str, words: int) -> bool:
    """Say whether `text` is a complete answer: nothing lost, doubled or out of order."""
    return _whole(words).fullmatch(text) is not None


@cache
def _whole(words: int) -> re.Pattern[str]:
    end = rf"@\d{{{CLOCK_DIGITS}}} "
    return re.compile(end + "".join(middle(words)) + end)
