"""What the chat asks of the attachments: the core's contract, in terms of uploads and links."""

from collections.abc import Sequence

from chatkit.store import AttachmentStore
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    AttachmentUploadDescriptor,
    ImageAttachment,
    ThreadItem,
)
from pydantic import AnyUrl

from app.builder import Builder
from app.chat.attachments import Contents
from app.context import RequestContext
from app.features.attachments.model_input import ModelInput
from app.features.attachments.service import Uploads
from app.features.attachments.settings import AttachmentsSettings
from app.security.links import Purpose
from app.store.details import details_of

PATH = "/api/attachments"


class UploadStore(AttachmentStore[RequestContext]):
    """Answers ChatKit's `attachments.create` and `attachments.delete`."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads

    async def create_attachment(
        self, input: AttachmentCreateParams, context: RequestContext
    ) -> Attachment:
        return await self._uploads.announce(context.user, input)

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        await self._uploads.delete(context.user, attachment_id)


class MessageAttachments:
    """Attachments of messages: see `app.chat.attachments.Attachments`."""

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
