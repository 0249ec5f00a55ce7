"""The types of files that are taken, and what a file's name and client say of its type."""

from pathlib import PurePosixPath

from app.store.file_types import IMAGES, PDF

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


def declared_type(media_type: str, name: str) -> str:
    """Return the type that is meant; where the client says none, the name's ending does."""
    essence = media_type.partition(";")[0].strip().lower()
    if essence in UNSAID:
        return BY_SUFFIX.get(PurePosixPath(name.lower()).suffix, "")
    return ALIASES.get(essence, essence)
