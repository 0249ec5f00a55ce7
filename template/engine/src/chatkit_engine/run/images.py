"""Images that the model generates: stored as bytes, shown by links, and read again by the model.

An item holds no more of its image than an address without a secret. The bytes belong to the user
as an attachment does, and go with the item, the thread and the user.


The images in one turn's stream: checked and stored as they come, never kept as base64.

OpenAI's own image generation, where the settings ask for it: it runs at the provider."""

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
from openai.types.responses.tool_param import ImageGeneration

from chatkit_engine.assistant.attachments import Contents
from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.tool_output import whole_text
from chatkit_engine.context import RequestContext, User
from chatkit_engine.errors import AppError, NotFound
from chatkit_engine.i18n import _
from chatkit_engine.security.links import Links
from chatkit_engine.settings.core import Settings
from chatkit_engine.store import files, generated_images
from chatkit_engine.store.attachments import (
    AttachmentDetails,
    details_of,
    make_attachment,
    sniff_type,
)
from chatkit_engine.store.blobs import Blobs
from chatkit_engine.store.database import Database
from chatkit_engine.store.files import Files
from chatkit_engine.store.generated_images import PREFIX
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.leases import Lease, LeaseLost

PATH = "/api/images"
READ_IMAGES = 2
READ_BYTES = 8 * 1024 * 1024
UNNAMED = "image"
log = structlog.stdlib.get_logger(__name__)
TYPES = ("image/png", "image/jpeg", "image/webp")
MAX_BYTES = 20 * 1024 * 1024
MAX_PROMPT = 500
NOT_MADE = _("The image could not be made. Please ask for it in another way.")
NOT_SHOWN = _("The image cannot be shown: it is damaged or too large. Please ask for it again.")
NOT_STORED = _("The image could not be stored. Please ask for it again.")


class Images:
    """The users' generated images. `partials` is how many previews come before each."""

    def __init__(self, database: Database, blobs: Blobs, links: Links, settings: Settings) -> None:
        self.partials = settings.image_partials
        self._database = database
        self._files = Files(database, blobs)
        self._links = links
        self._link_seconds = settings.download_link_seconds

    async def store(
        self, lease: Lease, image_id: str, content: bytes, mime_type: str, prompt: str
    ) -> str:
        """Store an image, or nothing of it, and return its address, which opens to links alone.

        Raises:
            Unavailable: the storage does not answer.
            NotFoundError, LeaseLost, Conflict: the turn may write no more.
        """
        details = AttachmentDetails(size=len(content), uploaded=True)
        image = make_attachment(image_id, prompt or UNNAMED, mime_type, details)
        image = image.model_copy(update={"thread_id": lease.thread_id})
        claimed = await self._database.write(generated_images.add_and_claim, lease, image)
        await self._files.write(lease.user_id, image, _chunk(content), claimed, files.discard)
        return f"{PATH}/{image_id}"

    def with_link(self, image: GeneratedImage, context: RequestContext) -> GeneratedImage:
        """Return the image with a link that works now."""
        path = f"{PATH}/{image.id}"
        link = self._links.make("download", image.id, path, context, self._link_seconds)
        return image.model_copy(update={"url": link})

    async def contents(self, history: Sequence[ThreadItem], user: User) -> Contents:
        """Return what the model reads of the history's images: the newest, and notes of others."""
        shown = [item.id for item in history if isinstance(item, GeneratedImageItem)]
        if not shown:
            return {}
        stored = await self._database.read(generated_images.load_all, user.id, shown)
        contents: dict[str, ResponseInputContentParam] = {
            image_id: _note(stored.get(image_id)) for image_id in shown
        }
        for image_id in shown[-READ_IMAGES:]:
            image = stored.get(image_id)
            if image is not None and details_of(image).size <= READ_BYTES:
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


def data_url(mime_type: str, encoded: str) -> str:
    """Return the URL of bytes in base64."""
    return f"data:{mime_type};base64,{encoded}"


def _note(image: Attachment | None) -> ResponseInputTextParam:
    """Say in its place what an image shows that the model is not given again."""
    text = "(It is not stored any more.)"
    if image is not None:
        text = f"(It is not repeated here. It was made for: {image.name})"
    return ResponseInputTextParam(type="input_text", text=text)


async def _chunk(content: bytes) -> AsyncIterator[bytes]:
    yield content


class Picture(NamedTuple):
    """An image's type and bytes."""

    mime_type: str
    content: bytes


class ImageStream(ResponseStreamConverter):
    """Gives each of a turn's images its address, or takes it back with a notice.

    Partial images go to the client inside their events alone: nothing stores those.
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
    found = sniff_type(content)
    return Picture(found, content) if found in TYPES and len(content) <= MAX_BYTES else None


def image_tools(settings: Settings) -> list[Tool]:
    """Return the tool, with `IMAGE_PARTIALS` previews of each image; none where it is off."""
    if not settings.image_generation:
        return []
    config = ImageGeneration(type="image_generation", partial_images=settings.image_partials)
    return [ImageGenerationTool(tool_config=config)]
