"""Plain text: one section, with the file's name for a title."""

from pathlib import PurePosixPath

from app.features.rag.reading.contract import Parsed, Section
from app.features.rag.reading.texts import decode


def read(data: bytes, name: str) -> Parsed:
    return Parsed(PurePosixPath(name).stem, [Section((), "", decode(data))])
