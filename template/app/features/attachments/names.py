"""File names: for people to read, never for a path or a key."""

import re
import unicodedata

MAX_NAME = 255
NAMELESS = "file"
HIDDEN = ("Cc", "Cs", "Zl", "Zp")
REORDERING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def display_name(given: str) -> str:
    """Return the name without folders, control characters and such as reorder its text."""
    last = re.split(r"[/\\]", given)[-1]
    shown = REORDERING.sub("", last)
    printed = "".join(char for char in shown if unicodedata.category(char) not in HIDDEN)
    return printed.strip(" .")[:MAX_NAME] or NAMELESS
