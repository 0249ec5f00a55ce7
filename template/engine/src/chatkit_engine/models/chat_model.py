"""What the application knows of a model, whichever family it comes from."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from agents import Model, ModelSettings

Transcribe = Callable[[bytes, str], Awaitable[str]]


async def _nothing() -> None:
    return None


def _no_trouble() -> str:
    return ""


@dataclass(frozen=True)
class ChatModel:
    """A model for the agents, with its settings and the end of its connections.

    `notice` is set where operators must know that it is no real model. `transcribe` turns speech,
    in bytes of a media type, into text, where the provider can. `trouble` says what operators
    should know just now. `alternatives` returns another model of the same provider by its name.
    """

    name: str
    model: Model
    settings: ModelSettings = field(default_factory=ModelSettings)
    notice: str = ""
    close: Callable[[], Awaitable[None]] = _nothing
    transcribe: Transcribe | None = None
    trouble: Callable[[], str] = _no_trouble
    alternatives: Callable[[str], Model] | None = None

    def named(self, name: str) -> Model:
        """Return the provider's model of that name; the caller has checked that it is allowed."""
        if name == self.name or self.alternatives is None:
            return self.model
        return self.alternatives(name)
