"""The types of files that are taken, and what a file's name and client say of its type.

File names: for people to read, never for a path or a key."""

import re
import unicodedata
from pathlib import PurePosixPath

from chatkit_engine.store.attachments import IMAGES, PDF

TEXTS = ("text/plain", "text/markdown", "text/csv", "application/json")
SUPPORTED = (*IMAGES, PDF, *TEXTS)
UNSAID = ("", "application/octet-stream")

ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "text/x-markdown": "text/markdown",
    "application/x-pdf": PDF,
}

BY_SUFFIX = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".pdf": PDF,
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".csv": "text/csv",
    ".json": "application/json",
}

MAX_NAME = 255
NAMELESS = "file"
HIDDEN = ("Cc", "Cs", "Zl", "Zp")
REORDERING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def declared_type(media_type: str, name: str) -> str:
    """Return the type that is meant; where the client says none, the name's ending does."""
    essence = media_type.partition(";")[0].strip().lower()
    if essence in UNSAID:
        return BY_SUFFIX.get(PurePosixPath(name.lower()).suffix, "")
    return ALIASES.get(essence, essence)


def display_name(given: str) -> str:
    """Return the name without folders, control characters and such as reorder its text."""
    last = re.split(r"[/\\]", given)[-1]
    shown = REORDERING.sub("", last)
    printed = "".join(char for char in shown if unicodedata.category(char) not in HIDDEN)
    return printed.strip(" .")[:MAX_NAME] or NAMELESS
