"""Inspects uploads: a file must have its declared type, be complete, and not be too large.

`inspect` runs in a worker process, so this module imports little.
"""

import codecs
from typing import Any, BinaryIO

from PIL import Image

from chatkit_engine.features.attachments.file_types import TEXTS
from chatkit_engine.media_types import IMAGES, PDF, sniff_type

HEAD_BYTES = 16
TAIL_BYTES = 1024
CHUNK_BYTES = 64 * 1024
PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
JPEG_END = b"\xff\xd9"
PDF_END = b"%%EOF"
# Why a file is refused.
DAMAGED = "damaged"
NOT_TEXT = "not text"
OTHER_TYPE = "other type"
TOO_LARGE = "too large"


class _Refused(Exception):
    """The argument is the reason."""


def inspect(file: BinaryIO, declared: str, max_side: int, max_pixels: int) -> dict[str, Any]:
    """Return an image's `width` and `height`, which are 0 for other files, or why it is `refused`.

    `max_side` and `max_pixels` limit images.
    """
    try:
        width, height = _inspect(file, declared, max_side, max_pixels)
    except _Refused as refused:
        return {"refused": str(refused)}
    return {"width": width, "height": height}


def _inspect(file: BinaryIO, declared: str, max_side: int, max_pixels: int) -> tuple[int, int]:
    _check_type(file, declared)
    if declared == PDF and PDF_END not in _tail(file):
        raise _Refused(DAMAGED)
    if declared not in IMAGES:
        return 0, 0
    width, height, is_complete = _read_image(file, declared)
    if max(width, height) > max_side or width * height > max_pixels:
        raise _Refused(TOO_LARGE)
    if not is_complete:
        raise _Refused(DAMAGED)
    return width, height


def _check_type(file: BinaryIO, declared: str) -> None:
    found = sniff_type(file.read(HEAD_BYTES))
    if found is None and declared in TEXTS:
        _check_text(file)
    elif found != declared:
        raise _Refused(OTHER_TYPE)


def _read_image(file: BinaryIO, mime_type: str) -> tuple[int, int, bool]:
    """Return the width and height, and whether the image is complete, without decoding it."""
    file.seek(0)
    try:
        with Image.open(file, formats=[IMAGES[mime_type]]) as image:
            width, height = image.size
            data_starts = file.tell()
            image.verify()
        return width, height, _is_complete(file, mime_type, data_starts)
    except MemoryError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _Refused(TOO_LARGE) from None
    except Exception:  # hostile bytes make Pillow raise errors of many kinds
        raise _Refused(DAMAGED) from None


def _is_complete(file: BinaryIO, mime_type: str, data_starts: int) -> bool:
    """Return whether the image ends as its format requires.

    For JPEG an end marker anywhere is enough, because cameras append data to photos.
    """
    match mime_type:
        case "image/png":
            return _tail(file).endswith(PNG_END)
        case "image/gif":
            return _tail(file).rstrip(b"\x00").endswith(b";")
        case "image/webp":
            file.seek(4)
            size = int.from_bytes(file.read(4), "little") + 8
            return size == file.seek(0, 2)
        case _:
            file.seek(data_starts)
            return _has_jpeg_end(file)


def _has_jpeg_end(file: BinaryIO) -> bool:
    last = b""
    while chunk := file.read(CHUNK_BYTES):
        if JPEG_END in last + chunk:
            return True
        last = chunk[-1:]
    return False


def _tail(file: BinaryIO) -> bytes:
    file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
    return file.read()


def _check_text(file: BinaryIO) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    file.seek(0)
    try:
        while chunk := file.read(CHUNK_BYTES):
            if "\x00" in decoder.decode(chunk):
                raise _Refused(NOT_TEXT)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise _Refused(NOT_TEXT) from None
