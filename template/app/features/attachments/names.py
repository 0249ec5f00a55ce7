"""File names: for people to read, never for a path or a key."""

import re
import unicodedata
from urllib.parse import quote

MAX_NAME = 255
NAMELESS = "file"
HIDDEN = ("Cc", "Cs", "Zl", "Zp")
REORDERING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
NOT_PLAIN = re.compile(r"[^A-Za-z0-9._ -]")


def display_name(given: str) -> str:
    """Return the name without folders, control characters and such as reorder its text."""
    last = re.split(r"[/\\]", given)[-1]
    shown = REORDERING.sub("", last)
    printed = "".join(char for char in shown if unicodedata.category(char) not in HIDDEN)
    return printed.strip(" .")[:MAX_NAME] or NAMELESS


def content_disposition(kind: str, name: str) -> str:
    """Return the header's value, with the name in ASCII and as it is (RFC 6266)."""
    plain = NOT_PLAIN.sub("_", name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
