"""The rows of generated images: attachments that have the id of the item that shows them.

A row is written by the turn that holds the thread's lease, before the item that shows it is. When
a turn has ended, however it ended, an image without an item is one that nobody will ever see.
"""

from collections.abc import Collection

from chatkit.types import Attachment
from sqlalchemy import Connection, exists, select

from chatkit_engine.store import blob_cleanup, files, threads
from chatkit_engine.store.attachments import save_attachment
from chatkit_engine.store.items import ATTACHMENT
from chatkit_engine.store.leases import Lease, renew
from chatkit_engine.store.tables import attachments, items

PREFIX = "img"


def add_and_claim(connection: Connection, lease: Lease, attachment: Attachment) -> float:
    """Insert an image whose bytes are about to be written; return the claim on them.

    The thread is locked, so that whoever deletes it finds the image.

    Raises:
        NotFoundError: the thread was deleted meanwhile.
        LeaseLost: the turn was ended from outside.
    """
    threads.lock_thread(connection, lease.thread_id, lease.user_id)
    renew(connection, lease)
    save_attachment(connection, attachment, lease.user_id)
    return files.claim(connection, lease.user_id, attachment.id)


def load_all(
    connection: Connection, user_id: str, image_ids: Collection[str]
) -> dict[str, Attachment]:
    """Return those of the user's images whose bytes are there, by id."""
    mine = (attachments.c.user_id == user_id) & attachments.c.id.in_(image_ids)
    whole = mine & attachments.c.size.is_not(None)
    stored = connection.scalars(select(attachments.c.data).where(whole))
    return {image.id: image for image in map(ATTACHMENT.validate_json, stored)}


def delete_unshown(connection: Connection, thread_id: str, user_id: str) -> None:
    """Delete the images of a thread that no item shows, when its turn has ended."""
    in_thread = (attachments.c.thread_id == thread_id) & (attachments.c.user_id == user_id)
    generated = attachments.c.id.startswith(f"{PREFIX}_", autoescape=True)
    shown = exists().where(items.c.thread_id == thread_id, items.c.id == attachments.c.id)
    blob_cleanup.delete_attachments(connection, in_thread & generated & ~shown)
