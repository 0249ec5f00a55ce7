"""From bytes to text that a database takes."""

import codecs
import re

from app.features.rag.reading.contract import Unreadable

NOT_UTF8 = "It is not text in UTF-8: save it as UTF-8."
MAX_LABEL = 200
LINE_ENDS = ("\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029")
SPACES = re.compile(r"\s+")
SAFE_URL = re.compile(r"(https?://|/)[!-~]*")


def decode(data: bytes, encoding: str = "utf-8") -> str:
    """Return the text, without a byte order mark.

    Raises:
        Unreadable: it is not in this encoding.
    """
    if data.startswith(codecs.BOM_UTF8):
        data, encoding = data.removeprefix(codecs.BOM_UTF8), "utf-8"
    try:
        return clean(data.decode(encoding))
    except (LookupError, ValueError):
        raise Unreadable(NOT_UTF8) from None


def clean(text: str) -> str:
    """Return the text with one kind of line end, and without what cannot be stored.

    These are short calls even for a large text: none of them keeps other threads waiting for long.
    """
    for line_end in LINE_ENDS:
        text = text.replace(line_end, "\n")
    return text.replace("\x00", "").encode(errors="ignore").decode()


def label(text: str) -> str:
    """Return a heading or title in one line, of a length that a reader can take in."""
    return SPACES.sub(" ", clean(text)).strip()[:MAX_LABEL].rstrip()


def safe_url(url: str) -> str | None:
    """Return the URL if a browser may be sent there: a script is no place."""
    return url if SAFE_URL.fullmatch(url) else None
