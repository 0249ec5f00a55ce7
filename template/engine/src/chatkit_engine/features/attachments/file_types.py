"""The supported file types, and the declared type and display name of an upload."""

import re
import unicodedata
from pathlib import PurePosixPath

from chatkit_engine.media_types import IMAGES, PDF

TEXTS = ("text/plain", "text/markdown", "text/csv", "application/json")
SUPPORTED = (*IMAGES, PDF, *TEXTS)
UNKNOWN = ("", "application/octet-stream")
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
DEFAULT_NAME = "file"
INVISIBLE = ("Cc", "Cs", "Zl", "Zp")
REORDERING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def declared_type(media_type: str, name: str) -> str:
    """Return the type that the client declares, or else that of the name's suffix."""
    essence = media_type.partition(";")[0].strip().lower()
    if essence in UNKNOWN:
        return BY_SUFFIX.get(PurePosixPath(name.lower()).suffix, "")
    return ALIASES.get(essence, essence)


def display_name(given: str) -> str:
    """Return the name without folders, control characters and characters that reorder text.

    It is only shown to people, and never used as a path or a key.
    """
    last = re.split(r"[/\\]", given)[-1]
    shown = REORDERING.sub("", last)
    printed = "".join(char for char in shown if unicodedata.category(char) not in INVISIBLE)
    return printed.strip(" .")[:MAX_NAME] or DEFAULT_NAME
