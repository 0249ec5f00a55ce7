"""Attachments with the least code that the ChatKit protocol needs. The bytes are dropped."""

from collections.abc import Sequence

from chatkit.store import AttachmentStore
from chatkit.types import (
    Attachment,
    AttachmentCreateParams,
    AttachmentUploadDescriptor,
    FileAttachment,
    ImageAttachment,
    ThreadItem,
    UserMessageItem,
)
from openai.types.responses import ResponseInputTextParam
from pydantic import AnyUrl

from chatkit_engine.assistant.attachments import Contents
from chatkit_engine.builder import Builder
from chatkit_engine.context import RequestContext
from chatkit_engine.store.ids import new_id

UPLOADS = AnyUrl("https://uploads.example/a")


class Slots(AttachmentStore[RequestContext]):
    """Images are put, and other files posted."""

    async def create_attachment(
        self, input: AttachmentCreateParams, context: RequestContext
    ) -> Attachment:
        attachment_id = self.generate_attachment_id(input.mime_type, context)
        if input.mime_type.startswith("image/"):
            return ImageAttachment(
                id=attachment_id,
                name=input.name,
                mime_type=input.mime_type,
                preview_url=UPLOADS,
                upload_descriptor=AttachmentUploadDescriptor(url=UPLOADS, method="PUT"),
            )
        return FileAttachment(
            id=attachment_id,
            name=input.name,
            mime_type=input.mime_type,
            upload_descriptor=AttachmentUploadDescriptor(url=UPLOADS, method="POST"),
        )

    def generate_attachment_id(self, mime_type: str, context: RequestContext) -> str:
        return new_id("atc")

    async def delete_attachment(self, attachment_id: str, context: RequestContext) -> None:
        """There are no bytes to delete."""


class Paperclip:
    """See `chatkit_engine.assistant.attachments.Attachments`."""

    def __init__(self) -> None:
        self.store = Slots()

    async def check(self, attachment_ids: Sequence[str], context: RequestContext) -> None:
        """Any may be sent."""

    async def contents(self, history: Sequence[ThreadItem], context: RequestContext) -> Contents:
        messages = (item for item in history if isinstance(item, UserMessageItem))
        attachments = (each for message in messages for each in message.attachments)
        return {
            each.id: ResponseInputTextParam(type="input_text", text=f"The file {each.name}")
            for each in attachments
        }

    def with_links(self, attachment: Attachment, context: RequestContext) -> Attachment:
        return attachment


def install(builder: Builder) -> None:
    builder.set_attachments(Paperclip())
