"""What the application knows of a model, whichever family it comes from."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from agents import Model, ModelSettings


async def _nothing() -> None:
    return None


@dataclass(frozen=True)
class ChatModel:
    """A model for the agents, with its settings and the end of its connections.

    `notice` is set where operators must know that it is no real model.
    """

    name: str
    model: Model
    settings: ModelSettings = field(default_factory=ModelSettings)
    notice: str = ""
    close: Callable[[], Awaitable[None]] = _nothing
