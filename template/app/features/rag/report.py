"""What a run of `ingest` tells: while it works, and at its end."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol


@dataclass
class Report:
    """What became of the files. `embedded` counts the chunks that needed a new vector."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    chunks: int = 0
    embedded: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    left_out: Counter[str] = field(default_factory=Counter[str])


class Progress(Protocol):
    """Is told how far a run has come: so many of all documents, a part of one among them."""

    def __call__(self, done: float, total: int, source: str) -> None: ...


def silent(done: float, total: int, source: str) -> None:
    """Show nothing."""
