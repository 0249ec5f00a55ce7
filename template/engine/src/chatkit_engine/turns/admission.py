"""Lets turns begin: a number at once for each user and for the process, the others in turn.

Users take turns in the queue, so that a user with many waiting turns delays another user by one.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable

from chatkit_engine.errors import TooManyTurns, Unavailable
from chatkit_engine.i18n import _

WAIT_SECONDS = 10.0

Release = Callable[[], None]


class Admission:
    """Counts the turns that run, and queues those that have to wait.

    A user may have as many turns waiting as running. What waits longer than ten seconds is refused.
    """

    def __init__(self, max_turns: int, max_user_turns: int) -> None:
        self._max_turns = max_turns
        self._max_user_turns = max_user_turns
        self._running: dict[str, int] = {}
        # The users in the order in which they are served, each with what waits for a place.
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def enter(self, user_id: str) -> Release:
        """Wait for a place. Call what it returns once when the turn has ended.

        Raises:
            TooManyTurns: the user has too many turns already.
            Unavailable: the process has too many turns.
        """
        place = asyncio.get_running_loop().create_future()
        queue = self._waiting.setdefault(user_id, deque())
        if len(queue) >= self._max_user_turns:
            raise TooManyTurns
        queue.append(place)
        self._admit()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await place
        except BaseException as error:
            self._leave(user_id, place)
            if not isinstance(error, TimeoutError):
                raise
            if self._running.get(user_id, 0) >= self._max_user_turns:
                raise TooManyTurns from None
            raise Unavailable(_("Too many answers are being written. Try again soon.")) from None
        return lambda: self._release(user_id)

    def _admit(self) -> None:
        """Give the free places to the users in their order, one to each in a round."""
        while sum(self._running.values()) < self._max_turns:
            user_id = self._next_user()
            if user_id is None:
                return
            queue = self._waiting.pop(user_id)
            place = queue.popleft()
            if queue:
                self._waiting[user_id] = queue
            if not place.done():
                self._running[user_id] = self._running.get(user_id, 0) + 1
                place.set_result(None)

    def _next_user(self) -> str | None:
        for user_id, queue in self._waiting.items():
            if queue and self._running.get(user_id, 0) < self._max_user_turns:
                return user_id
        return None

    def _leave(self, user_id: str, place: asyncio.Future[None]) -> None:
        """Take back a place that was given, or no longer wait for it."""
        if place.done() and not place.cancelled():
            self._release(user_id)
            return
        queue = self._waiting.get(user_id)
        if queue and place in queue:
            queue.remove(place)
        if not queue:
            self._waiting.pop(user_id, None)

    def _release(self, user_id: str) -> None:
        self._running[user_id] -= 1
        if not self._running[user_id]:
            del self._running[user_id]
        self._admit()
