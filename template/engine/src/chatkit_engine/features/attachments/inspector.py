"""Inspects uploads in worker processes, and says why a file is refused."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from chatkit_engine.errors import AppError, Unavailable, Unprocessable, UnsupportedMediaType
from chatkit_engine.features.attachments import inspection
from chatkit_engine.features.attachments.settings import AttachmentsSettings
from chatkit_engine.i18n import _
from chatkit_engine.workers.pool import Limits, WorkerPool, WorkersUnavailable, WorkFailed

WORKERS = 2
# A photo of 50 megapixels needs a tenth of a second and 40 MB.
LIMITS = Limits(memory_bytes=256 * 1024 * 1024, cpu_seconds=3, wall_seconds=30, answer_bytes=1024)
DAMAGED = _("The file is damaged, or has data after its end. Save it again and send the new file.")
FUNCTION = f"{inspection.__name__}:{inspection.inspect.__name__}"


@dataclass(frozen=True)
class InspectedFile:
    """The result of an inspection. Width and height are in pixels, and 0 except for images."""

    mime_type: str
    width: int = 0
    height: int = 0


class Inspector:
    """Inspects files, with the limits of the settings. Close it when the application stops."""

    def __init__(self, settings: AttachmentsSettings, limits: Limits = LIMITS) -> None:
        self._types = settings.upload_types
        self._max_side = settings.upload_max_side
        self._max_pixels = settings.upload_max_pixels
        self._pool = WorkerPool(FUNCTION, limits, WORKERS)

    def check_type(self, declared: str) -> None:
        """Raise `UnsupportedMediaType` for a type that is not accepted."""
        if declared not in self._types:
            raise UnsupportedMediaType(
                _("Send a file of one of these types: {types}.", types=self._accepted)
            )

    async def inspect(
        self, user_id: str, content: AsyncIterator[bytes], declared: str
    ) -> InspectedFile:
        """Check that a file has its declared type, is complete and not too large.

        Raises:
            UnsupportedMediaType: the file does not have its declared type.
            Unprocessable: the file is damaged, takes too much time or memory to inspect, or is an
                image with too many pixels.
            Unavailable: files cannot be inspected at the moment.
        """
        self.check_type(declared)
        limits = {"max_side": self._max_side, "max_pixels": self._max_pixels}
        try:
            found = await self._pool.run(user_id, content, declared=declared, **limits)
        except WorkFailed:
            raise Unprocessable(
                _(
                    "The file takes too much time or memory to check. "
                    "Save it again, or send a simpler file."
                )
            ) from None
        except WorkersUnavailable:
            raise Unavailable(_("Files cannot be checked at the moment. Try again.")) from None
        if reason := found.get("refused"):
            raise self._refusal(reason, declared)
        return InspectedFile(declared, found["width"], found["height"])

    async def aclose(self) -> None:
        await self._pool.aclose()

    @property
    def _accepted(self) -> str:
        return ", ".join(self._types)

    def _refusal(self, reason: str, declared: str) -> AppError:
        match reason:
            case inspection.NOT_TEXT:
                return UnsupportedMediaType(_("The file is not text. Send text as UTF-8."))
            case inspection.OTHER_TYPE:
                return UnsupportedMediaType(
                    _(
                        "The file does not have the type {declared}. Send it with its real type. "
                        "Accepted types: {types}.",
                        declared=declared,
                        types=self._accepted,
                    )
                )
            case inspection.TOO_LARGE:
                return Unprocessable(
                    _(
                        "The image is too large. Reduce it to at most {pixels} pixels, and {side} "
                        "pixels on each side.",
                        pixels=self._max_pixels,
                        side=self._max_side,
                    )
                )
            case _:
                return Unprocessable(DAMAGED)
