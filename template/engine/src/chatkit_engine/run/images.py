"""Images that the model generates: stored as files, shown by signed links, read by later turns.

The provider sends an image as base64 in the stream. It is checked and stored at once, and its item
holds an address only, because an item with the bytes would be read with every page of the thread.
The file is deleted together with the item, the thread or the user.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import structlog
from agents import ImageGenerationTool, Tool
from agents.items import TResponseStreamEvent
from chatkit.agents import ResponseStreamConverter
from chatkit.store import NotFoundError
from chatkit.types import (
    Annotation,
    Attachment,
    GeneratedImage,
    GeneratedImageItem,
    GeneratedImageUpdated,
    NoticeEvent,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadItemUpdatedEvent,
    ThreadStreamEvent,
)
from openai.types.responses import (
    ResponseInputContentParam,
    ResponseInputImageParam,
    ResponseInputTextParam,
    ResponseOutputItemDoneEvent,
)
from openai.types.responses.response_output_item import ImageGenerationCall
from openai.types.responses.response_output_text import AnnotationURLCitation
from openai.types.responses.tool_param import ImageGeneration

from chatkit_engine.assistant.attachments import Contents
from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.tool_output import repair_surrogates
from chatkit_engine.context import RequestContext, User
from chatkit_engine.errors import AppError, NotFound, StorageFull
from chatkit_engine.i18n import _
from chatkit_engine.media_types import sniff_type
from chatkit_engine.security.links import Links
from chatkit_engine.security.safe_urls import safe_url
from chatkit_engine.settings.core import Settings
from chatkit_engine.store import files, generated_images
from chatkit_engine.store.attachments import AttachmentDetails, details_of, make_attachment
from chatkit_engine.store.blobs import Blobs
from chatkit_engine.store.database import Database
from chatkit_engine.store.files import Files
from chatkit_engine.store.generated_images import PREFIX
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.leases import Lease, LeaseLost

log = structlog.stdlib.get_logger(__name__)
PATH = "/api/images"
# What the model reads again of the images in the history.
MAX_READ_IMAGES = 2
MAX_READ_BYTES = 8 * 1024 * 1024
DEFAULT_NAME = "image"
TYPES = ("image/png", "image/jpeg", "image/webp")
MAX_BYTES = 20 * 1024 * 1024
MAX_PROMPT = 500
NOT_GENERATED = _("The image could not be generated. Please describe it differently.")
NOT_SHOWN = _("The image cannot be shown: it is damaged or too large. Please ask for it again.")
NOT_STORED = _("The image could not be stored. Please ask for it again.")


class Images:
    """The users' generated images. `partials` is the number of previews of each image."""

    def __init__(self, database: Database, blobs: Blobs, links: Links, settings: Settings) -> None:
        self.partials = settings.image_partials
        self._database = database
        self._files = Files(database, blobs)
        self._links = links
        self._link_seconds = settings.download_link_seconds
        self._max_storage = settings.max_user_storage_bytes

    async def store(
        self, lease: Lease, image_id: str, content: bytes, mime_type: str, prompt: str
    ) -> str:
        """Store an image and return its address, which opens with a signed link only.

        After an error nothing of the image is left.

        Raises:
            Unavailable: the storage does not answer.
            StorageFull: the user has stored too much.
            NotFoundError, LeaseLost, Conflict: the turn may not write any more.
        """
        details = AttachmentDetails(size=len(content), uploaded=True)
        image = make_attachment(image_id, prompt or DEFAULT_NAME, mime_type, details)
        image = image.model_copy(update={"thread_id": lease.thread_id})
        # The row first. A crash leaves a row, which the sweeper deletes, but never an unknown file.
        claimed = await self._database.write(
            generated_images.add_and_claim, lease, image, self._max_storage
        )
        await self._files.write(lease.user_id, image, _chunks(content), claimed, files.discard)
        return f"{PATH}/{image_id}"

    def with_link(self, image: GeneratedImage, context: RequestContext) -> GeneratedImage:
        """Return the image with a link that works now."""
        path = f"{PATH}/{image.id}"
        link = self._links.make("download", image.id, path, context, self._link_seconds)
        return image.model_copy(update={"url": link})

    async def contents(self, history: Sequence[ThreadItem], user: User) -> Contents:
        """Return what the model reads of the images in the history, by item id.

        The two newest are repeated if they have at most 8 MiB each, the others are described.
        """
        image_ids = [item.id for item in history if isinstance(item, GeneratedImageItem)]
        if not image_ids:
            return {}
        stored = await self._database.read(generated_images.load_all, user.id, image_ids)
        contents: dict[str, ResponseInputContentParam] = {
            image_id: _note(stored.get(image_id)) for image_id in image_ids
        }
        for image_id in image_ids[-MAX_READ_IMAGES:]:
            image = stored.get(image_id)
            if image is not None and details_of(image).size <= MAX_READ_BYTES:
                contents[image_id] = await self._content(user, image)
        return contents

    async def _content(self, user: User, image: Attachment) -> ResponseInputContentParam:
        try:
            _, _, chunks = await self._files.read(user.id, image.id)
            content = b"".join([chunk async for chunk in chunks])
        except NotFound:
            return _note(None)
        url = data_url(image.mime_type, b64encode(content).decode())
        return ResponseInputImageParam(type="input_image", detail="auto", image_url=url)


class ImageStream(ResponseStreamConverter):
    """Stores the images in one turn's stream, or removes their items with a notice.

    It also drops citations of unsafe URLs.

    Previews are sent to the client inside their events. They are not stored.
    """

    def __init__(self, images: Images, context: TurnContext, lease: Lease) -> None:
        super().__init__(partial_images=images.partials)
        self._images = images
        self._context = context
        self._lease = lease
        self._prompts: dict[str, str] = {}
        self._failures: dict[str, str] = {}
        self._ids: dict[str, str] = {}

    def observe(self, event: TResponseStreamEvent) -> None:
        """Remember an image's prompt, because the converter does not pass it on."""
        match event:
            case ResponseOutputItemDoneEvent(item=ImageGenerationCall() as call):
                prompt = " ".join((call.revised_prompt or "").split())
                self._prompts[call.id] = repair_surrogates(prompt)[:MAX_PROMPT]
            case _:
                pass

    async def base64_image_to_url(
        self, image_id: str, base64_image: str, partial_image_index: int | None = None
    ) -> str:
        """Return the image's address, or "" if it is invalid or could not be stored.

        `process` removes an item without an address. An exception here would end the whole turn.
        """
        image = _decode(base64_image)
        # A preview. ChatKit.js shows it from the event.
        if image is not None and partial_image_index is not None:
            return data_url(image.mime_type, base64_image)
        item = self._context.generated_image_item
        assert item is not None
        if image is None:
            self._failures[item.id] = NOT_SHOWN
            return ""
        try:
            prompt = self._prompts.get(image_id, "")
            return await self._images.store(
                self._lease, item.id, image.content, image.mime_type, prompt
            )
        except (AppError, NotFoundError, LeaseLost) as error:
            log.warning("an image was not stored", error=type(error).__name__)
            is_full = isinstance(error, StorageFull)
            self._failures[item.id] = error.detail if is_full else NOT_STORED
            return ""

    async def url_citation_to_annotation(
        self, url_citation: AnnotationURLCitation
    ) -> Annotation | None:
        """Convert a citation, or drop it if its URL is unsafe. The SDK numbers those that stay."""
        if safe_url(url_citation.url) is None:
            return None
        return await super().url_citation_to_annotation(url_citation)

    async def process(
        self, events: AsyncIterator[ThreadStreamEvent]
    ) -> AsyncIterator[ThreadStreamEvent]:
        """Yield the events with our own ids for images, and remove the images that failed."""
        unfinished: set[str] = set()
        async for event in events:
            match event:
                case ThreadItemAddedEvent(item=GeneratedImageItem() as item):
                    self._assign_id(item)
                    unfinished.add(item.id)
                case ThreadItemUpdatedEvent(update=GeneratedImageUpdated() as update):
                    if not update.image.url:
                        continue
                    update.image = update.image.model_copy(update={"id": event.item_id})
                case ThreadItemDoneEvent(item=GeneratedImageItem(image=image) as item) if image:
                    unfinished.discard(item.id)
                    if not image.url:
                        for removal in self._remove(item.id):
                            yield removal
                        continue
                    # The SDK uses the id of the call, which belongs to the model's server.
                    image.id = item.id
                case ThreadItemRemovedEvent():
                    event.item_id = self._ids.get(event.item_id, event.item_id)
                    unfinished.discard(event.item_id)
                case _:
                    pass
            yield event
        for item_id in unfinished:
            for removal in self._remove(item_id):
                yield removal

    def _remove(self, item_id: str) -> list[ThreadStreamEvent]:
        message = self._failures.get(item_id, NOT_GENERATED)
        notice = NoticeEvent(level="warning", message=message)
        return [ThreadItemRemovedEvent(item_id=item_id), notice]

    def _assign_id(self, item: GeneratedImageItem) -> None:
        """Change the item in place, because the SDK keeps working with this object."""
        self._ids[item.id] = new_id(PREFIX)
        item.id = self._ids[item.id]


def image_tools(settings: Settings) -> list[Tool]:
    """Return OpenAI's image generation tool if the settings enable it. It runs at the provider."""
    if not settings.image_generation:
        return []
    config = ImageGeneration(type="image_generation", partial_images=settings.image_partials)
    return [ImageGenerationTool(tool_config=config)]


def data_url(mime_type: str, encoded: str) -> str:
    """Return the `data:` URL of base64-encoded bytes."""
    return f"data:{mime_type};base64,{encoded}"


class DecodedImage(NamedTuple):
    """An image's media type and bytes."""

    mime_type: str
    content: bytes


def _decode(encoded: str) -> DecodedImage | None:
    """Return the image, or None if it is invalid, too large or of an unsupported type."""
    # Checked before decoding, which would need as much memory again. Base64 adds a third.
    if len(encoded) > MAX_BYTES * 4 // 3 + 4:
        return None
    try:
        content = b64decode(encoded, validate=True)
    except binascii.Error:
        return None
    mime_type = sniff_type(content)
    if mime_type not in TYPES or len(content) > MAX_BYTES:
        return None
    return DecodedImage(mime_type, content)


def _note(image: Attachment | None) -> ResponseInputTextParam:
    """Return a text in place of an image: its prompt, which is the stored file's name."""
    text = "(It is not stored any more.)"
    if image is not None:
        text = f"(It is not repeated here. It was made for: {image.name})"
    return ResponseInputTextParam(type="input_text", text=text)


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content
