"""Reads plain text, as one section."""

from pathlib import PurePosixPath

from chatkit_engine.features.rag.reading.document import Parsed, Section, decode


def read(data: bytes, name: str) -> Parsed:
    return Parsed(PurePosixPath(name).stem, [Section((), "", decode(data))])
