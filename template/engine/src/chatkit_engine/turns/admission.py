"""Lets turns begin: a number at once for each user and for the process, the others in turn."""

import asyncio
from collections.abc import Callable
from functools import partial

from chatkit_engine.errors import TooManyTurns, Unavailable
from chatkit_engine.fair_slots import FairSlots
from chatkit_engine.i18n import _

WAIT_SECONDS = 10.0

Release = Callable[[], None]


class Admission:
    """Counts the turns that run, and queues those that have to wait.

    A user may have as many turns waiting as running. What waits longer than ten seconds is refused.
    """

    def __init__(self, max_turns: int, max_user_turns: int) -> None:
        self._slots = FairSlots(max_turns, max_user_turns)
        self._max_user_turns = max_user_turns

    async def enter(self, user_id: str) -> Release:
        """Wait for a place. Call what it returns once when the turn has ended.

        Raises:
            TooManyTurns: the user has too many turns already.
            Unavailable: the process has too many turns.
        """
        if self._slots.waiting(user_id) >= self._max_user_turns:
            raise TooManyTurns
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._slots.acquire(user_id)
        except TimeoutError:
            if self._slots.held(user_id) >= self._max_user_turns:
                raise TooManyTurns from None
            raise Unavailable(_("Too many answers are being written. Try again soon.")) from None
        return partial(self._slots.release, user_id)
