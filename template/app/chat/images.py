"""Images that the model generates: stored as bytes, shown by links, and read again by the model.

An item holds no more of its image than an address without a secret. The bytes belong to the user
as an attachment does, and go with the item, the thread and the user.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Sequence

from chatkit.types import Attachment, GeneratedImage, GeneratedImageItem, ThreadItem
from openai.types.responses import (
    ResponseInputContentParam,
    ResponseInputImageParam,
    ResponseInputTextParam,
)

from app.chat.attachments import Contents
from app.context import RequestContext, User
from app.errors import NotFound
from app.security.links import Links
from app.settings import Settings
from app.store import files, images
from app.store.blobs import Blobs
from app.store.details import Details, details_of, make_attachment
from app.store.engine import Database
from app.store.files import Files
from app.store.maintenance import Lease

PATH = "/api/images"
READ_IMAGES = 2
READ_BYTES = 8 * 1024 * 1024
UNNAMED = "image"


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
        details = Details(size=len(content), uploaded=True)
        image = make_attachment(image_id, prompt or UNNAMED, mime_type, details)
        image = image.model_copy(update={"thread_id": lease.thread_id})
        claimed = await self._database.write(images.add_and_claim, lease, image)
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
        stored = await self._database.read(images.load_all, user.id, shown)
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
