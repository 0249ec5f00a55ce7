"""A language model as the engine uses it, whatever its provider."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from agents import Model, ModelSettings

Transcribe = Callable[[bytes, str], Awaitable[str]]


async def _nothing_to_close() -> None:
    return None


def _no_problem() -> str:
    return ""


@dataclass(frozen=True)
class ChatModel:
    """A model for the agents, with its settings and its connections.

    `notice` is a warning for operators, for example that the demo model answers. `problem` returns
    what is wrong with the model now, or an empty string. `transcribe` turns speech (bytes and their
    media type) into text; None if the provider cannot. `alternatives` returns another model of the
    same provider by its name.
    """

    name: str
    model: Model
    settings: ModelSettings = field(default_factory=ModelSettings)
    notice: str = ""
    close: Callable[[], Awaitable[None]] = _nothing_to_close
    transcribe: Transcribe | None = None
    problem: Callable[[], str] = _no_problem
    alternatives: Callable[[str], Model] | None = None

    def named(self, name: str) -> Model:
        """Return the provider's model of that name. The caller has checked that it is allowed."""
        if name == self.name or self.alternatives is None:
            return self.model
        return self.alternatives(name)
