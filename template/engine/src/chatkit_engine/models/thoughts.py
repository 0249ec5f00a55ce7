"""Separates the thoughts that some models write before their answer, in a tag, from the answer."""

import re

# DeepSeek and Qwen write `<think>`, others the words beside it.
NAMES = ("think", "thinking", "thought", "reasoning", "reflection")
OPEN = re.compile(rf"\s*<({'|'.join(NAMES)})>", re.IGNORECASE)


class Thoughts:
    """Takes an answer piece by piece, and returns its thoughts and its text.

    Thoughts come first. A tag later in the text belongs to it.
    """

    def __init__(self) -> None:
        self._rest = ""
        self._close = ""
        self._is_over = False

    def take(self, piece: str) -> tuple[str, str]:
        """Return the thoughts and the text that are known to be such after this piece."""
        if self._is_over:
            return "", piece
        self._rest += piece
        if not self._close and not self._open():
            return "", self._release() if self._is_over else ""
        thoughts, tag, text = _partition(self._rest, self._close)
        if tag:
            self._is_over, self._rest = True, ""
            return thoughts, text.lstrip()
        # The tag may be split between two pieces.
        held = len(self._close) - 1
        thoughts, self._rest = self._rest[:-held], self._rest[-held:]
        return thoughts, ""

    def finish(self) -> tuple[str, str]:
        """Return what was held back: thoughts whose tag was never closed, or text."""
        rest = self._release()
        return (rest, "") if self._close and not self._is_over else ("", rest)

    def _open(self) -> bool:
        """Look for the tag that begins the thoughts. Without one, all is text."""
        if match := OPEN.match(self._rest):
            self._close = f"</{match[1].lower()}>"
            self._rest = self._rest[match.end() :].lstrip()
            return True
        begun = self._rest.lstrip().lower()
        self._is_over = not any(f"<{name}>".startswith(begun) for name in NAMES)
        return False

    def _release(self) -> str:
        rest, self._rest = self._rest, ""
        return rest


def without_thoughts(text: str) -> str:
    """Return a whole answer without its thoughts, also if the tag that begins them is missing."""
    thoughts = Thoughts()
    answer = thoughts.take(text)[1] + thoughts.finish()[1]
    for name in NAMES:
        _before, tag, after = _partition(answer, f"</{name}>")
        answer = after if tag else answer
    return answer.strip()


def _partition(text: str, tag: str) -> tuple[str, str, str]:
    """`str.partition` that ignores the tag's case."""
    start = text.lower().find(tag)
    if start < 0:
        return text, "", ""
    end = start + len(tag)
    return text[:start], text[start:end], text[end:]
