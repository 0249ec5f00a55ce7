"""Attachments: files and images in messages, from the upload to what the model reads."""

from app.builder import Builder
from app.features.attachments.links import Links
from app.features.attachments.messages import MessageAttachments
from app.features.attachments.routes import PATH, create_router
from app.features.attachments.service import Uploads
from app.features.attachments.settings import AttachmentsSettings

FORM_BYTES = 64 * 1024


def install(builder: Builder) -> None:
    settings = AttachmentsSettings()
    uploads = Uploads(builder.database, builder.blobs, settings)
    links = Links(builder.settings)
    messages = MessageAttachments(uploads, links, builder.blobs, settings)
    builder.set_attachments(messages)
    builder.add_router(create_router(uploads, messages, links))
    builder.add_body_limit(PATH, settings.upload_max_bytes + FORM_BYTES)
    builder.add_sweep(uploads.sweep)
