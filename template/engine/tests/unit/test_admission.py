"""Turns begin up to a number at once, and the users that wait are served in turn."""

import asyncio

import pytest

from chatkit_engine.errors import TooManyTurns, Unavailable
from chatkit_engine.turns import admission
from chatkit_engine.turns.admission import Admission, Release


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Entered:
    """What was admitted, in its order; `leave` ends the oldest."""

    def __init__(self, gate: Admission) -> None:
        self.order: list[str] = []
        self._gate = gate
        self._releases: list[Release] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def ask(self, *users: str) -> None:
        for user in users:
            self.tasks.append(asyncio.create_task(self._enter(user)))
        await _settle()

    async def leave(self) -> None:
        self._releases.pop(0)()
        await _settle()

    async def _enter(self, user: str) -> None:
        self._releases.append(await self._gate.enter(user))
        self.order.append(user)


async def test_a_user_with_many_waiting_delays_another_by_one() -> None:
    entered = Entered(Admission(max_turns=2, max_user_turns=4))
    await entered.ask("eve", "eve", "eve", "eve", "eve", "ada", "bob")
    for _ in range(5):
        await entered.leave()

    assert entered.order == ["eve", "eve", "eve", "ada", "bob", "eve", "eve"]


async def test_a_users_own_limit_leaves_room_for_others() -> None:
    entered = Entered(Admission(max_turns=10, max_user_turns=2))
    await entered.ask("eve", "eve", "eve", "eve", "ada")

    assert entered.order == ["eve", "eve", "ada"]
    await entered.ask("eve")
    with pytest.raises(TooManyTurns):
        await entered.tasks[-1]


async def test_who_waits_too_long_is_refused_and_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "WAIT_SECONDS", 0.01)
    gate = Admission(max_turns=1, max_user_turns=1)
    release = await gate.enter("ada")

    with pytest.raises(TooManyTurns):
        await gate.enter("ada")
    with pytest.raises(Unavailable):
        await gate.enter("bob")

    release()
    (await gate.enter("bob"))()
    (await gate.enter("ada"))()


async def test_a_client_that_gives_up_frees_its_place() -> None:
    entered = Entered(Admission(max_turns=1, max_user_turns=2))
    await entered.ask("ada", "bob", "eve")
    entered.tasks[1].cancel()
    await _settle()
    await entered.leave()

    assert entered.order == ["ada", "eve"]
