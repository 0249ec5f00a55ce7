"""Attachments in messages: links for the front end, and content for the model within a budget.

The newest attachments are read first. Tokens are estimated, because the model's own count is not
known in advance. The estimate limits the bytes of a request as well.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Sequence
from math import ceil

from chatkit.store import AttachmentStore
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    AttachmentUploadDescriptor,
    ImageAttachment,
    ThreadItem,
    UserMessageItem,
)
from openai.types.responses import (
    ResponseInputContentParam,
    ResponseInputFileParam,
    ResponseInputImageParam,
    ResponseInputTextParam,
)
from pydantic import AnyUrl

from chatkit_engine.assistant.attachments import Contents
from chatkit_engine.builder import Builder
from chatkit_engine.context import RequestContext, User
from chatkit_engine.features.attachments.settings import AttachmentsSettings
from chatkit_engine.features.attachments.uploads import Uploads
from chatkit_engine.media_types import IMAGES, PDF
from chatkit_engine.security.links import Purpose
from chatkit_engine.store.attachments import AttachmentDetails, details_of
from chatkit_engine.store.blobs import BlobMissing, Blobs, blob_key

TEXT_BYTES_PER_TOKEN = 4
IMAGE_BYTES_PER_TOKEN = 512
PDF_BYTES_PER_TOKEN = 100
IMAGE_TOKENS = 85
TILE_TOKENS = 170
TILE_SIDE = 512
LONG_SIDE = 2048
SHORT_SIDE = 768
TOO_LARGE = "it is too large for the model's input"
GONE = "its content is no longer stored"
PATH = "/api/attachments"


class MessageAttachments:
    """Implements `chatkit_engine.assistant.attachments.Attachments`."""

    def __init__(self, uploads: Uploads, builder: Builder, settings: AttachmentsSettings) -> None:
        self.store = UploadStore(uploads)
        self._uploads = uploads
        self._links = builder.links
        self._blobs = builder.blobs
        self._download_seconds = builder.settings.download_link_seconds
        self._settings = settings

    async def check(self, attachment_ids: Sequence[str], context: RequestContext) -> None:
        await self._uploads.check(context.user, list(attachment_ids))

    async def contents(self, history: Sequence[ThreadItem], context: RequestContext) -> Contents:
        limit = self._settings.attachment_max_tokens
        return await ModelInput(self._blobs, context.user, limit).contents(history)

    def with_links(self, attachment: Attachment, context: RequestContext) -> Attachment:
        links: dict[str, object] = {"upload_descriptor": self._descriptor(attachment, context)}
        if isinstance(attachment, ImageAttachment):
            links["preview_url"] = AnyUrl(self.download_link(attachment.id, context))
        return attachment.model_copy(update=links)

    def download_link(self, attachment_id: str, context: RequestContext) -> str:
        return self._link("download", attachment_id, context, self._download_seconds)

    def _descriptor(
        self, attachment: Attachment, context: RequestContext
    ) -> AttachmentUploadDescriptor | None:
        if details_of(attachment).uploaded:
            return None
        seconds = self._settings.upload_link_seconds
        link = self._link("upload", attachment.id, context, seconds)
        return AttachmentUploadDescriptor(
            url=AnyUrl(link), method="PUT", headers={"Content-Type": attachment.mime_type}
        )

    def _link(
        self, purpose: Purpose, attachment_id: str, context: RequestContext, seconds: int
    ) -> str:
        path = f"{PATH}/{attachment_id}/content"
        return self._links.make(purpose, attachment_id, path, context, seconds)


class UploadStore(AttachmentStore[RequestContext]):
    """Implements ChatKit's `attachments.create` and `attachments.delete`."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads

    async def create_attachment(
        self, input: AttachmentCreateParams, context: RequestContext
    ) -> Attachment:
        return await self._uploads.announce(context.user, input)

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        await self._uploads.delete(context.user, attachment_id)


class ModelInput:
    """Reads attachments for one turn, and counts their tokens against the budget."""

    def __init__(self, blobs: Blobs, user: User, max_tokens: int) -> None:
        self._blobs = blobs
        self._user = user
        self._tokens_left = max_tokens

    async def contents(self, history: Sequence[ThreadItem]) -> Contents:
        """Return the content of each attachment by id. One that is left out becomes a note."""
        contents: dict[str, ResponseInputContentParam] = {}
        for attachment in _newest_first(history):
            if attachment.id not in contents:
                contents[attachment.id] = await self._content(attachment)
        return contents

    async def _content(self, attachment: Attachment) -> ResponseInputContentParam:
        is_text = attachment.mime_type not in (*IMAGES, PDF)
        cost = _tokens(attachment)
        if self._tokens_left == 0 or (cost > self._tokens_left and not is_text):
            return _note(attachment, TOO_LARGE)
        granted = min(cost, self._tokens_left)
        try:
            content = await self._read(attachment, granted)
        except BlobMissing:
            return _note(attachment, GONE)
        self._tokens_left -= granted
        return content

    async def _read(self, attachment: Attachment, tokens: int) -> ResponseInputContentParam:
        chunks = await self._blobs.get(blob_key(self._user.id, attachment.id))
        if attachment.mime_type in IMAGES:
            url = await _data_url(attachment, chunks)
            return ResponseInputImageParam(type="input_image", detail="auto", image_url=url)
        if attachment.mime_type == PDF:
            url = await _data_url(attachment, chunks)
            return ResponseInputFileParam(
                type="input_file", filename=attachment.name, file_data=url
            )
        return _text(f"File {attachment.name!r}:\n{await _beginning(chunks, tokens)}")


def _newest_first(history: Sequence[ThreadItem]) -> Iterator[Attachment]:
    for item in reversed(history):
        if isinstance(item, UserMessageItem):
            yield from item.attachments


def _tokens(attachment: Attachment) -> int:
    details = details_of(attachment)
    if attachment.mime_type in IMAGES:
        return max(_image_tokens(details), details.size // IMAGE_BYTES_PER_TOKEN)
    if attachment.mime_type == PDF:
        return ceil(details.size / PDF_BYTES_PER_TOKEN)
    return ceil(details.size / TEXT_BYTES_PER_TOKEN)


def _image_tokens(details: AttachmentDetails) -> int:
    """Count tiles as https://platform.openai.com/docs/guides/images-vision does.

    An image of unknown size counts as the largest.
    """
    width, height = details.width or LONG_SIDE, details.height or LONG_SIDE
    long, short = max(width, height), min(width, height)
    scale = min(1, LONG_SIDE / long, SHORT_SIDE / short)
    tiles = ceil(long * scale / TILE_SIDE) * ceil(short * scale / TILE_SIDE)
    return IMAGE_TOKENS + TILE_TOKENS * tiles


async def _data_url(attachment: Attachment, chunks: AsyncIterator[bytes]) -> str:
    content = b"".join([chunk async for chunk in chunks])
    return f"data:{attachment.mime_type};base64,{b64encode(content).decode()}"


async def _beginning(chunks: AsyncIterator[bytes], tokens: int) -> str:
    """Return the text up to the token limit, with a note if it is cut."""
    limit = tokens * TEXT_BYTES_PER_TOKEN
    content = b""
    async for chunk in chunks:
        content += chunk
        if len(content) > limit:
            text = content[:limit].decode(errors="ignore")
            return f"{text}\n(The rest of the file was left out: {TOO_LARGE}.)"
    return content.decode(errors="ignore")


def _note(attachment: Attachment, why: str) -> ResponseInputTextParam:
    return _text(f"(The file {attachment.name!r} was left out: {why}.)")


def _text(text: str) -> ResponseInputTextParam:
    return ResponseInputTextParam(type="input_text", text=text)
