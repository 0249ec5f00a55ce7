"""Reads and cuts a document. It runs in a worker process, so this module imports little."""

from dataclasses import asdict
from typing import Any, BinaryIO

from chatkit_engine.features.rag.reading.chunking import cut_document
from chatkit_engine.features.rag.reading.document import Unreadable
from chatkit_engine.features.rag.reading.readers import read_document

MAX_CHUNKS = 10_000
TOO_LONG = f"The document has more than {MAX_CHUNKS:,} chunks: split it."


def read_and_cut(file: BinaryIO, source: str) -> dict[str, Any]:
    """Return the document's values and `chunks`, or why it is `unreadable`."""
    try:
        document = read_document(file.read(), source)
        chunks = cut_document(document)
    except Unreadable as error:
        return {"unreadable": str(error)}
    if len(chunks) > MAX_CHUNKS:
        return {"unreadable": TOO_LONG}
    return {
        "title": document.title,
        "url": document.url,
        "chapter": document.chapter or "",
        "lesson": document.lesson or "",
        "chunks": [asdict(chunk) for chunk in chunks],
    }
