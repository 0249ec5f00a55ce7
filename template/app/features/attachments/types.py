"""The types of files that are taken, and what a file's name and client say of its type."""

from pathlib import PurePosixPath

IMAGES = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP"}
PDF = "application/pdf"
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


def sniffed_type(head: bytes) -> str | None:
    """Return the type that the first bytes show; None for text, and for what is not known."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head.startswith(b"%PDF-"):
        return PDF
    return None
