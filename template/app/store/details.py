"""An attachment as the protocol has it, with what the protocol does not say in its metadata."""

from typing import Any

from chatkit.types import Attachment, FileAttachment, ImageAttachment
from pydantic import AnyUrl, BaseModel

from app.store.file_types import IMAGES


class Details(BaseModel):
    """Kept in an attachment's metadata, which never goes out. `size` is in bytes.

    A width and height of 0 are not known.
    """

    size: int
    uploaded: bool
    width: int = 0
    height: int = 0


def make_attachment(attachment_id: str, name: str, mime_type: str, details: Details) -> Attachment:
    """Return an attachment without links: those are made when it goes out."""
    fields: dict[str, Any] = {
        "id": attachment_id,
        "name": name,
        "mime_type": mime_type,
        "metadata": details.model_dump(),
    }
    if mime_type in IMAGES:
        return ImageAttachment(**fields, preview_url=AnyUrl(f"attachment:{attachment_id}"))
    return FileAttachment(**fields)


def details_of(attachment: Attachment) -> Details:
    return Details.model_validate(attachment.metadata)
