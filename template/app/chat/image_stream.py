"""The images in one turn's stream: checked and stored as they come, never kept as base64."""

import binascii
from base64 import b64decode
from collections.abc import AsyncIterator
from typing import NamedTuple

import structlog
from agents.items import TResponseStreamEvent
from chatkit.agents import ResponseStreamConverter
from chatkit.store import NotFoundError
from chatkit.types import (
    GeneratedImageItem,
    GeneratedImageUpdated,
    NoticeEvent,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)
from openai.types.responses import ResponseOutputItemDoneEvent
from openai.types.responses.response_output_item import ImageGenerationCall

from app.chat.context import AssistantContext
from app.chat.images import Images, data_url
from app.chat.stream import whole_text
from app.errors import AppError
from app.i18n import _
from app.store.file_types import sniffed_type
from app.store.ids import new_id
from app.store.images import PREFIX
from app.store.maintenance import Lease, LeaseLost

log = structlog.stdlib.get_logger(__name__)

TYPES = ("image/png", "image/jpeg", "image/webp")
MAX_BYTES = 20 * 1024 * 1024
MAX_PROMPT = 500

NOT_MADE = _("The image could not be made. Please ask for it in another way.")
NOT_SHOWN = _("The image cannot be shown: it is damaged or too large. Please ask for it again.")
NOT_STORED = _("The image could not be stored. Please ask for it again.")


class Picture(NamedTuple):
    """An image's type and bytes."""

    mime_type: str
    content: bytes


class ImageStream(ResponseStreamConverter):
    """Gives each of a turn's images its address, or takes it back with a notice.

    Partial images go to the client inside their events alone: nothing stores those.
    """

    def __init__(self, images: Images, context: AssistantContext, lease: Lease) -> None:
        super().__init__(partial_images=images.partials)
        self._images = images
        self._context = context
        self._lease = lease
        self._prompts: dict[str, str] = {}
        self._failures: dict[str, str] = {}
        self._ids: dict[str, str] = {}

    def observe(self, event: TResponseStreamEvent) -> None:
        """Take note of what an image was made for, which the converter is not told."""
        match event:
            case ResponseOutputItemDoneEvent(item=ImageGenerationCall() as call):
                prompt = " ".join((call.revised_prompt or "").split())
                self._prompts[call.id] = whole_text(prompt)[:MAX_PROMPT]
            case _:
                pass

    async def base64_image_to_url(
        self, image_id: str, base64_image: str, partial_image_index: int | None = None
    ) -> str:
        """Return an address; an empty one for what is no image, or could not be stored."""
        picture = _decoded(base64_image)
        if picture is not None and partial_image_index is not None:
            return data_url(picture.mime_type, base64_image)
        item = self._context.generated_image_item
        assert item is not None
        if picture is None:
            self._failures[item.id] = NOT_SHOWN
            return ""
        try:
            prompt = self._prompts.get(image_id, "")
            return await self._images.store(
                self._lease, item.id, picture.content, picture.mime_type, prompt
            )
        except (AppError, NotFoundError, LeaseLost) as error:
            log.warning("an image was not stored", error=type(error).__name__)
            self._failures[item.id] = NOT_STORED
            return ""

    async def shown(
        self, events: AsyncIterator[ThreadStreamEvent]
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Yield the events, with ids of our own for images, and without those that failed."""
        begun: set[str] = set()
        async for event in events:
            match event:
                case ThreadItemAddedEvent(item=GeneratedImageItem() as item):
                    self._rename(item)
                    begun.add(item.id)
                case ThreadItemUpdatedEvent(update=GeneratedImageUpdated() as update):
                    if not update.image.url:
                        continue
                    update.image = update.image.model_copy(update={"id": event.item_id})
                case ThreadItemDoneEvent(item=GeneratedImageItem(image=image) as item) if image:
                    begun.discard(item.id)
                    if not image.url:
                        for taken_back in self._taken_back(item.id):
                            yield taken_back
                        continue
                    image.id = item.id
                case ThreadItemRemovedEvent():
                    event.item_id = self._ids.get(event.item_id, event.item_id)
                    begun.discard(event.item_id)
                case _:
                    pass
            yield event
        for item_id in begun:
            for taken_back in self._taken_back(item_id):
                yield taken_back

    def _taken_back(self, item_id: str) -> list[ThreadStreamEvent]:
        message = self._failures.get(item_id, NOT_MADE)
        notice = NoticeEvent(level="warning", message=message)
        return [ThreadItemRemovedEvent(item_id=item_id), notice]

    def _rename(self, item: GeneratedImageItem) -> None:
        """Change the item in place: the SDK goes on with this very object."""
        self._ids[item.id] = new_id(PREFIX)
        item.id = self._ids[item.id]


def _decoded(encoded: str) -> Picture | None:
    """Return the image, or None for what is no image of a type that is taken, or too large."""
    if len(encoded) > MAX_BYTES * 4 // 3 + 4:
        return None
    try:
        content = b64decode(encoded, validate=True)
    except binascii.Error:
        return None
    found = sniffed_type(content)
    return Picture(found, content) if found in TYPES and len(content) <= MAX_BYTES else None
