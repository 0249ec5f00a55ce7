"""A turn that was finished before: its stored events, sent again."""

from collections.abc import AsyncIterator, Sequence

from chatkit.types import ThreadStreamEvent

from app.chat.turns import Encoder
from app.store.usage import Usage


class Replay:
    """Answers like the `Turn` that it repeats."""

    replayed = True

    def __init__(
        self, events: Sequence[ThreadStreamEvent], encoder: Encoder, used: Usage | None
    ) -> None:
        self._chunks = [*map(encoder.encode, events), encoder.end("completed", used)]

    async def chunks(self, heartbeat_seconds: float) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            if chunk:
                yield chunk

    async def wait(self) -> None:
        """There is nothing to wait for."""

    async def stop(self) -> None:
        """There is nothing to stop."""
