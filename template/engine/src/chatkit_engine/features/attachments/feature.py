"""Attachments: files and images in messages, from their upload to the model's input."""

from contextlib import aclosing
from functools import partial

from chatkit_engine.builder import Builder
from chatkit_engine.features.attachments.inspector import Inspector
from chatkit_engine.features.attachments.messages import PATH, MessageAttachments
from chatkit_engine.features.attachments.routes import create_router
from chatkit_engine.features.attachments.settings import AttachmentsSettings
from chatkit_engine.features.attachments.uploads import Uploads
from chatkit_engine.store.files import Files

FORM_BYTES = 64 * 1024


def install(builder: Builder) -> None:
    settings = AttachmentsSettings()
    files = Files(builder.database, builder.blobs)
    inspector = Inspector(settings)
    max_storage = builder.settings.max_user_storage_bytes
    uploads = Uploads(builder.database, builder.blobs, inspector, settings, max_storage)
    messages = MessageAttachments(uploads, builder, settings)
    builder.set_attachments(messages)
    builder.add_router(create_router(uploads, messages, builder.links, files))
    builder.add_body_limit(PATH, settings.upload_max_bytes + FORM_BYTES)
    builder.add_sweep(uploads.sweep)
    builder.add_resource(partial(aclosing, inspector))
