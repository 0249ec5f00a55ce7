"""The SQL statements for documents and chunks.

Each filters on the owner, or on the user's own and the shared rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, select, update

from chatkit_engine.features.rag.tables import chunks, documents, libraries
from chatkit_engine.features.rag.vectors.store import SHARED
from chatkit_engine.store.upsert import execute_upsert, upsert


@dataclass(frozen=True)
class Document:
    """A file's document. `content_hash` is empty until the document is complete."""

    user_id: str
    id: str
    collection: str
    source: str
    title: str
    url: str | None = None
    chapter: str = ""
    lesson: str = ""
    content_hash: str = ""
    vectors_in: str = ""


@dataclass(frozen=True)
class ChunkRow:
    """A chunk with its vector as bytes. `hash` is of the text that was embedded."""

    id: str
    position: int
    heading: str
    anchor: str
    text: str
    hash: str
    embedding: bytes


@dataclass(frozen=True)
class Passage:
    """A chunk as a search returns it, with the details of its document."""

    chunk_id: str
    document_id: str
    position: int
    heading: str
    anchor: str
    text: str
    source: str
    title: str
    url: str | None
    chapter: str
    lesson: str


class LibraryVersion(NamedTuple):
    """The version of an owner's documents.

    `seq` is higher after the owner was erased and has documents again. `purged` is the version at
    which chunks were deleted last.
    """

    seq: int
    version: int
    purged: int


_DOCUMENT = [documents.c[field.name] for field in fields(Document)]
_NEW_LIBRARY = upsert(libraries, [], [])
_NEW_DOCUMENT = upsert(documents, [], [])
_NEW_CHUNK = upsert(chunks, [], [])
_PASSAGE = (
    chunks.c.id.label("chunk_id"),
    chunks.c.document_id,
    chunks.c.position,
    chunks.c.heading,
    chunks.c.anchor,
    chunks.c.text,
    documents.c.source,
    documents.c.title,
    documents.c.url,
    documents.c.chapter,
    documents.c.lesson,
)


def readable(user_id: str, owner: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a row is the user's own or shared."""
    return owner.in_((user_id, SHARED))


def list_documents(connection: Connection, user_id: str, collection: str) -> list[Document]:
    own = (documents.c.user_id == user_id) & (documents.c.collection == collection)
    return _documents(connection, select(*_DOCUMENT).where(own))


def list_readable(connection: Connection, user_id: str) -> list[Document]:
    """Return the complete documents that the user may read."""
    mine = readable(user_id, documents.c.user_id) & (documents.c.content_hash != "")
    return _documents(connection, select(*_DOCUMENT).where(mine).order_by(documents.c.seq))


def count_elsewhere(connection: Connection, vectors_in: str) -> int:
    """Return how many documents' vectors are in another store, or of another embedder."""
    elsewhere = documents.c.vectors_in != vectors_in
    return connection.scalar(select(func.count()).select_from(documents).where(elsewhere)) or 0


def known_vectors(
    connection: Connection, user_id: str, document_id: str, embedder: str
) -> dict[str, tuple[str, bytes]]:
    """Return the ids and vectors of a document's chunks by hash, including staged chunks."""
    columns = (chunks.c.hash, chunks.c.id, chunks.c.embedding)
    known = _of(user_id, document_id) & (chunks.c.embedder == embedder)
    found = connection.execute(select(*columns).where(known)).all()
    return {row.hash: (row.id, row.embedding) for row in found}


def stage(
    connection: Connection, document: Document, added: Sequence[ChunkRow], embedder: str
) -> None:
    """Insert chunks of a document that is being ingested. No search finds them yet.

    The document's row is inserted if it does not exist. Existing rows are left as they are.
    """
    incomplete = {**vars(document), "content_hash": "", "vectors_in": ""}
    execute_upsert(connection, _NEW_DOCUMENT, incomplete)
    shared = {"user_id": document.user_id, "document_id": document.id, "embedder": embedder}
    values = [{**vars(chunk), **shared, "staged": True, "version": 0} for chunk in added]
    if values:
        execute_upsert(connection, _NEW_CHUNK, values)


def publish(connection: Connection, document: Document, positions: Mapping[str, int]) -> list[str]:
    """Publish the chunks with these ids, delete the others, and return the ids of those."""
    version = _next_version(connection, document.user_id)
    execute_upsert(connection, _NEW_DOCUMENT, vars(document))
    own = (documents.c.user_id == document.user_id) & (documents.c.id == document.id)
    connection.execute(update(documents).where(own).values(vars(document)))
    mine = _of(document.user_id, document.id)
    existing = connection.execute(select(chunks.c.id, chunks.c.position).where(mine)).all()
    for row in existing:
        if row.position != positions.get(row.id, row.position):
            moved = update(chunks).where(mine, chunks.c.id == row.id)
            connection.execute(moved.values(position=positions[row.id]))
    new = update(chunks).where(mine, chunks.c.staged)
    connection.execute(new.values(staged=False, version=version))
    removed = [row.id for row in existing if row.id not in positions]
    if removed:
        _purge(connection, document.user_id, version, chunks.c.id.in_(removed))
    return removed


def move_anchors(
    connection: Connection, user_id: str, document_id: str, anchors: Mapping[str, str]
) -> None:
    """Update the anchors of a document's chunks, by chunk id."""
    mine = _of(user_id, document_id)
    for row in connection.execute(select(chunks.c.id, chunks.c.anchor).where(mine)).all():
        if row.anchor != anchors.get(row.id, row.anchor):
            moved = update(chunks).where(mine, chunks.c.id == row.id)
            connection.execute(moved.values(anchor=anchors[row.id]))


def mark_indexed(connection: Connection, user_id: str, document_id: str, store: str) -> None:
    """Record that the document's vectors are in the store of that name.

    This counts as a change, because cached results may lack the document.
    """
    _next_version(connection, user_id)
    own = (documents.c.user_id == user_id) & (documents.c.id == document_id)
    connection.execute(update(documents).where(own).values(vectors_in=store))


def chunk_ids(connection: Connection, user_id: str, document_id: str) -> list[str]:
    return list(connection.scalars(select(chunks.c.id).where(_of(user_id, document_id))))


def remove(connection: Connection, user_id: str, document_id: str) -> None:
    """Delete a document and its chunks."""
    version = _next_version(connection, user_id)
    _purge(connection, user_id, version, chunks.c.document_id == document_id)
    own = (documents.c.user_id == user_id) & (documents.c.id == document_id)
    connection.execute(delete(documents).where(own))


def remove_all(connection: Connection, user_id: str) -> None:
    """Delete all of the owner's documents."""
    for table in (chunks, documents, libraries):
        connection.execute(delete(table).where(table.c.user_id == user_id))


def versions(connection: Connection, user_id: str) -> dict[str, LibraryVersion]:
    """Return the versions of the user's own and the shared documents, by owner."""
    mine = readable(user_id, libraries.c.user_id)
    rows = connection.execute(select(libraries).where(mine)).all()
    return {row.user_id: LibraryVersion(row.seq, row.version, row.purged) for row in rows}


def load_passages(connection: Connection, user_id: str, ids: Sequence[str]) -> dict[str, Passage]:
    """Return the passages with these ids that the user may read."""
    joined = select(*_PASSAGE).join(documents, documents.c.id == chunks.c.document_id)
    # The expression keeps SQLite from using the index on the owner: the ids are the faster way.
    owners = (func.coalesce(each.c.user_id, each.c.user_id) for each in (chunks, documents))
    mine = and_(*(readable(user_id, owner) for owner in owners))
    found = joined.where(mine, ~chunks.c.staged, chunks.c.id.in_(ids))
    return {row.chunk_id: Passage(*row) for row in connection.execute(found)}


def _purge(connection: Connection, user_id: str, version: int, gone: ColumnElement[bool]) -> None:
    deleted = connection.execute(delete(chunks).where(chunks.c.user_id == user_id, gone)).rowcount
    if deleted:
        own = libraries.c.user_id == user_id
        connection.execute(update(libraries).where(own).values(purged=version))


def _next_version(connection: Connection, user_id: str) -> int:
    """Return the next version of the owner's documents. Concurrent changes wait for this one."""
    execute_upsert(connection, _NEW_LIBRARY, {"user_id": user_id, "version": 0, "purged": 0})
    counted = update(libraries).where(libraries.c.user_id == user_id)
    counted = counted.values(version=libraries.c.version + 1).returning(libraries.c.version)
    return connection.execute(counted).scalar_one()


def _of(user_id: str, document_id: str) -> ColumnElement[bool]:
    return (chunks.c.user_id == user_id) & (chunks.c.document_id == document_id)


def _documents(connection: Connection, found: Select[Any]) -> list[Document]:
    return [Document(**row) for row in connection.execute(found).mappings()]
