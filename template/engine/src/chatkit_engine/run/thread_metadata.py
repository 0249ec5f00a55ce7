"""A thread's metadata during a turn: whether it takes turns, and merging concurrent changes.

A turn holds its thread in memory for minutes. Meanwhile the user may rename it, or another process
may lock it, so the turn's changes are merged field by field and do not overwrite the stored thread.
"""

from typing import Any

from chatkit.types import ClosedStatus, LockedStatus, ThreadMetadata

from chatkit_engine.errors import Conflict
from chatkit_engine.i18n import _

MERGED = tuple(name for name in ThreadMetadata.model_fields if name not in ("id", "created_at"))


def check_open(thread: ThreadMetadata) -> None:
    """Raise `Conflict` if the thread is locked or closed."""
    match thread.status:
        case LockedStatus(reason=str(reason)) if reason:
            raise Conflict(_("This thread is locked: {reason}", reason=reason))
        case LockedStatus():
            raise Conflict(_("This thread is locked."))
        case ClosedStatus(reason=str(reason)) if reason:
            raise Conflict(_("This thread is closed: {reason}", reason=reason))
        case ClosedStatus():
            raise Conflict(_("This thread is closed."))
        case _:
            pass


def merge(base: ThreadMetadata, ours: ThreadMetadata, theirs: ThreadMetadata) -> ThreadMetadata:
    """Apply our changes since `base` to the stored thread. If both changed a field, theirs wins."""
    our_changes, their_changes = changed_fields(base, ours), changed_fields(base, theirs)
    merged = {name: our_changes[name] for name in our_changes.keys() - their_changes.keys()}
    if "metadata" in our_changes:
        removed = base.metadata.keys() - ours.metadata.keys()
        kept = {key: value for key, value in theirs.metadata.items() if key not in removed}
        merged["metadata"] = kept | our_changes["metadata"] | their_changes.get("metadata", {})
    return theirs.model_copy(update=merged)


def changed_fields(before: ThreadMetadata, after: ThreadMetadata) -> dict[str, Any]:
    """Return the fields that differ. Of `metadata`, only the keys that were added or changed."""
    changes = {
        name: getattr(after, name)
        for name in MERGED
        if getattr(after, name) != getattr(before, name)
    }
    if "metadata" in changes:
        changes["metadata"] = {
            key: value
            for key, value in after.metadata.items()
            if key not in before.metadata or value != before.metadata[key]
        }
    return changes
