"""Inspects uploads: a file must have its declared type, be complete, and not be too large."""

import codecs
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

from chatkit_engine.errors import Unprocessable, UnsupportedMediaType
from chatkit_engine.features.attachments.file_types import TEXTS
from chatkit_engine.features.attachments.settings import AttachmentsSettings
from chatkit_engine.i18n import _
from chatkit_engine.store.attachments import IMAGES, PDF, sniff_type

HEAD_BYTES = 16
TAIL_BYTES = 1024
CHUNK_BYTES = 64 * 1024
PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
JPEG_END = b"\xff\xd9"
PDF_END = b"%%EOF"
DAMAGED = _("The file is damaged, or has data after its end. Save it again and send the new file.")
NOT_TEXT = _("The file is not text. Send text as UTF-8.")


@dataclass(frozen=True)
class InspectedFile:
    """The result of an inspection. Width and height are in pixels, and 0 except for images."""

    mime_type: str
    width: int = 0
    height: int = 0


class Inspector:
    """Inspects files, with the limits of the settings."""

    def __init__(self, settings: AttachmentsSettings) -> None:
        self._types = settings.upload_types
        self._max_side = settings.upload_max_side
        self._max_pixels = settings.upload_max_pixels

    def check_type(self, declared: str) -> None:
        """Raise `UnsupportedMediaType` for a type that is not accepted."""
        if declared not in self._types:
            raise UnsupportedMediaType(
                _("Send a file of one of these types: {types}.", types=self._accepted)
            )

    def inspect(self, file: BinaryIO, declared: str) -> InspectedFile:
        """Return the file's real type. It reads the file, so it blocks.

        Raises:
            UnsupportedMediaType: the file does not have its declared type.
            Unprocessable: the file is damaged, or an image with too many pixels.
        """
        self.check_type(declared)
        file.seek(0)
        found = sniff_type(file.read(HEAD_BYTES))
        if found is None and declared in TEXTS:
            _check_text(file)
        elif found != declared:
            raise UnsupportedMediaType(
                _(
                    "The file does not have the type {declared}. Send it with its real type. "
                    "Accepted types: {types}.",
                    declared=declared,
                    types=self._accepted,
                )
            )
        if declared in IMAGES:
            return self._inspect_image(file, declared)
        if declared == PDF and PDF_END not in _tail(file):
            raise Unprocessable(DAMAGED)
        return InspectedFile(declared)

    @property
    def _accepted(self) -> str:
        return ", ".join(self._types)

    def _inspect_image(self, file: BinaryIO, mime_type: str) -> InspectedFile:
        try:
            width, height, is_complete = _read_image(file, mime_type)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise self._too_large() from None
        except Exception:  # hostile bytes make Pillow raise errors of many kinds
            raise Unprocessable(DAMAGED) from None
        if max(width, height) > self._max_side or width * height > self._max_pixels:
            raise self._too_large()
        if not is_complete:
            raise Unprocessable(DAMAGED)
        return InspectedFile(mime_type, width, height)

    def _too_large(self) -> Unprocessable:
        return Unprocessable(
            _(
                "The image is too large. Reduce it to at most {pixels} pixels, and {side} pixels "
                "on each side.",
                pixels=self._max_pixels,
                side=self._max_side,
            )
        )


def _read_image(file: BinaryIO, mime_type: str) -> tuple[int, int, bool]:
    """Return the width and height, and whether the image is complete, without decoding it."""
    file.seek(0)
    with Image.open(file, formats=[IMAGES[mime_type]]) as image:
        width, height = image.size
        data_starts = file.tell()
        image.verify()
    return width, height, _is_complete(file, mime_type, data_starts)


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
            text = decoder.decode(chunk)
            if "\x00" in text:
                raise UnsupportedMediaType(NOT_TEXT)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise UnsupportedMediaType(NOT_TEXT) from None
