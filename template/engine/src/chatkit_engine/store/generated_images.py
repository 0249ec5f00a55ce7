"""Generated images: attachments that have the id of the item that shows them.

The turn that holds the thread's lease writes an image's row before it writes the item. Once a turn
has ended, an image without an item will never be shown, so it is deleted.
"""

from collections.abc import Collection

from chatkit.types import Attachment
from sqlalchemy import Connection, exists, select

from chatkit_engine.store import blob_cleanup, files, storage, threads
from chatkit_engine.store.attachments import details_of, save_attachment
from chatkit_engine.store.items import ATTACHMENT
from chatkit_engine.store.leases import Lease, renew
from chatkit_engine.store.tables import attachments, items

PREFIX = "img"


def add_and_claim(
    connection: Connection, lease: Lease, attachment: Attachment, max_storage: int
) -> float:
    """Insert an image whose blob is about to be written; return the claim on the blob.

    Raises:
        NotFoundError: the thread was deleted in the meantime.
        LeaseLost: another process has closed the turn.
        StorageFull: the user's storage is full.
    """
    # Without the lock, a concurrent delete of the thread could miss the image.
    threads.lock_thread(connection, lease.thread_id, lease.user_id)
    renew(connection, lease)
    size = details_of(attachment).size
    storage.check_room_for_file(connection, lease.user_id, size, max_storage)
    save_attachment(connection, attachment, lease.user_id)
    return files.claim(connection, lease.user_id, attachment.id)


def load_all(
    connection: Connection, user_id: str, image_ids: Collection[str]
) -> dict[str, Attachment]:
    """Return the user's images whose blobs are stored, by id."""
    is_image = (attachments.c.user_id == user_id) & attachments.c.id.in_(image_ids)
    is_stored = attachments.c.size.is_not(None)
    stored = connection.scalars(select(attachments.c.data).where(is_image, is_stored))
    return {image.id: image for image in map(ATTACHMENT.validate_json, stored)}


def delete_unshown(connection: Connection, thread_id: str, user_id: str) -> None:
    """Delete a thread's images that no item shows. Call it when the thread's turn has ended."""
    in_thread = (attachments.c.thread_id == thread_id) & (attachments.c.user_id == user_id)
    is_generated = attachments.c.id.startswith(f"{PREFIX}_", autoescape=True)
    is_shown = exists().where(items.c.thread_id == thread_id, items.c.id == attachments.c.id)
    blob_cleanup.delete_attachments(connection, in_thread & is_generated & ~is_shown)
