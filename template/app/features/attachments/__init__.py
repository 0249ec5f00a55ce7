"""Attachments: files and images in messages, from the upload to what the model reads."""

from app.builder import Builder
from app.features.attachments.messages import PATH, MessageAttachments
from app.features.attachments.routes import create_router
from app.features.attachments.service import Uploads
from app.features.attachments.settings import AttachmentsSettings
from app.store.files import Files

FORM_BYTES = 64 * 1024


def install(builder: Builder) -> None:
    settings = AttachmentsSettings()
    files = Files(builder.database, builder.blobs)
    uploads = Uploads(builder.database, builder.blobs, settings)
    messages = MessageAttachments(uploads, builder, settings)
    builder.set_attachments(messages)
    builder.add_router(create_router(uploads, messages, builder.links, files))
    builder.add_body_limit(PATH, settings.upload_max_bytes + FORM_BYTES)
    builder.add_sweep(uploads.sweep)
