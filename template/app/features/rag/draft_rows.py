"""A draft's transactions. Each leaves the document whole, whatever another run does meanwhile."""

from collections.abc import Sequence
from itertools import groupby

from sqlalchemy import Connection

from app.features.rag import rows
from app.features.rag.draft import Draft

Batch = Sequence[tuple[Draft, int]]
"""Pieces of some documents, by their positions."""


class Overtaken(Exception):
    """Another run has changed the document since this one read it."""


def stage(connection: Connection, batch: Batch, embedder: str) -> None:
    """Keep the pieces, with their vectors, where nobody finds them yet."""
    for draft, group in groupby(batch, lambda each: each[0]):
        rows.stage(connection, draft.document, [draft.chunk(at) for _, at in group], embedder)


def publish(connection: Connection, draft: Draft) -> list[str]:
    """Have the document be found as the draft is; return the ids of the chunks that it loses.

    Raises:
        Overtaken: some of the draft's pieces are gone, or others have come.
    """
    document, positions = draft.document, draft.positions
    lost = rows.publish(connection, document, positions)
    if not _is_all_of(connection, draft):
        raise Overtaken
    rows.move_anchors(connection, document.user_id, document.id, draft.anchors)
    return lost


def mark_indexed(connection: Connection, draft: Draft, store: str) -> None:
    """Leave it unmarked where another run has changed it: the next run puts that right."""
    if _is_all_of(connection, draft):
        rows.mark_indexed(connection, draft.document.user_id, draft.document.id, store)


def _is_all_of(connection: Connection, draft: Draft) -> bool:
    """Say whether the document's chunks are the draft's, all of them and no others."""
    document = draft.document
    return set(rows.chunk_ids(connection, document.user_id, document.id)) == set(draft.ids)
