"""What was observed in conversations."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Literal

from chatkit_engine.testing.requests import Json
from support.protocol.sdk import Kind

Wire = Literal["responses", "chat_completions"]


@dataclass
class Recording:
    """What one conversation on one wire was seen to do. `hooks` are kinds and their files."""

    place: str
    wire: Wire
    transcript: list[Json] = field(default_factory=list[Json])
    kinds: list[Kind] = field(default_factory=list[Kind])
    hidden: list[Kind] = field(default_factory=list[Kind])
    hooks: list[tuple[Kind, str]] = field(default_factory=list[tuple[Kind, str]])
    failure: str = ""

    @property
    def covered(self) -> set[Kind]:
        """What it covers. A hidden item counts when it is stored, because it is never shown."""
        return {*self.kinds, *self.hidden, *(kind for kind, _ in self.hooks)}


def to_json(recordings: Iterable[Recording]) -> str:
    return json.dumps([asdict(each) for each in recordings])


def from_json(text: str) -> list[Recording]:
    return [Recording(**each) for each in json.loads(text)]
