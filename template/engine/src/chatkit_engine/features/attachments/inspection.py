"""Looks into a file: it must be of the type that it was declared as, whole, and not too large."""

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
DAMAGED = _("The file is damaged, or has something behind its end. Save it again and send that.")
NOT_TEXT = _("The file is not text. Send text as UTF-8.")


@dataclass(frozen=True)
class InspectedFile:
    """What a file is. Width and height are an image's, in pixels."""

    mime_type: str
    width: int = 0
    height: int = 0


class Inspector:
    """Inspects files by the settings' limits."""

    def __init__(self, settings: AttachmentsSettings) -> None:
        self._types = settings.upload_types
        self._max_side = settings.upload_max_side
        self._max_pixels = settings.upload_max_pixels

    def check_type(self, declared: str) -> None:
        """Raise `UnsupportedMediaType` for a type that is not taken."""
        if declared not in self._types:
            raise UnsupportedMediaType(
                _("Send a file of one of these types: {types}.", types=self._taken)
            )

    def inspect(self, file: BinaryIO, declared: str) -> InspectedFile:
        """Return what the file is. It reads the file, and so blocks.

        Raises:
            UnsupportedMediaType: it is not what it was declared as.
            Unprocessable: it is damaged, or an image with too many pixels.
        """
        self.check_type(declared)
        file.seek(0)
        found = sniff_type(file.read(HEAD_BYTES))
        if found is None and declared in TEXTS:
            _check_text(file)
        elif found != declared:
            raise UnsupportedMediaType(
                _(
                    "The file is not of the type {declared}. Send it with the type that it has; "
                    "these are taken: {types}.",
                    declared=declared,
                    types=self._taken,
                )
            )
        if declared in IMAGES:
            return self._inspect_image(file, declared)
        if declared == PDF and PDF_END not in _tail(file):
            raise Unprocessable(DAMAGED)
        return InspectedFile(declared)

    @property
    def _taken(self) -> str:
        return ", ".join(self._types)

    def _inspect_image(self, file: BinaryIO, mime_type: str) -> InspectedFile:
        try:
            width, height, whole = _read_image(file, mime_type)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise self._too_large() from None
        except Exception:  # Pillow raises errors of many kinds for hostile bytes
            raise Unprocessable(DAMAGED) from None
        if max(width, height) > self._max_side or width * height > self._max_pixels:
            raise self._too_large()
        if not whole:
            raise Unprocessable(DAMAGED)
        return InspectedFile(mime_type, width, height)

    def _too_large(self) -> Unprocessable:
        return Unprocessable(
            _(
                "The image has too many pixels. Make it smaller: at most {pixels} pixels, "
                "and {side} on each side.",
                pixels=self._max_pixels,
                side=self._max_side,
            )
        )


def _read_image(file: BinaryIO, mime_type: str) -> tuple[int, int, bool]:
    """Return the image's width and height, and whether it is whole; its pixels are not decoded."""
    file.seek(0)
    with Image.open(file, formats=[IMAGES[mime_type]]) as image:
        width, height = image.size
        data_starts = file.tell()
        image.verify()
    return width, height, _is_whole(file, mime_type, data_starts)


def _is_whole(file: BinaryIO, mime_type: str, data_starts: int) -> bool:
    """Say whether the image ends where its format says; behind a photo cameras put more."""
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
