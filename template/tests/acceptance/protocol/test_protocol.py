"""ChatKit's whole protocol over real sockets, on both of the models' wires.

    WRITE_GOLDEN=1 uv run pytest tests/acceptance/protocol

writes the golden transcripts anew; look at what `git diff` says of them.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.protocol.golden import check_golden, check_nothing_is_stale
from tests.support.protocol.scenarios import Recording, Scenarios
from tests.support.protocol.sdk import HIDDEN, Types, hooks
from tests.support.protocol.shared import shared_recordings

pytestmark = pytest.mark.slow

SCENARIOS = Scenarios(Path(__file__).parent, "with_the_features_of_the_tests")


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    return shared_recordings("protocol", SCENARIOS, tmp_path_factory)


@pytest.mark.parametrize("name", SCENARIOS.by_name)
def test_a_conversation_goes_as_its_golden_transcript_says(
    recordings: list[Recording], name: str
) -> None:
    check_golden(SCENARIOS, name, recordings)


def test_no_golden_transcript_is_stale() -> None:
    check_nothing_is_stale(SCENARIOS)


def test_every_kind_of_the_protocol_came_or_went(recordings: list[Recording]) -> None:
    """Where this fails after an update of the SDK, it names what has to be built and driven."""
    assert sorted(Types().kinds - _covered(recordings)) == []


def test_every_hook_was_called(recordings: list[Recording]) -> None:
    assert sorted(hooks() - _covered(recordings)) == []


def test_hidden_context_is_stored_and_never_shown(recordings: list[Recording]) -> None:
    shown = {kind for recording in recordings for kind in recording.kinds}

    assert not HIDDEN & shown
    assert {kind for recording in recordings for kind in recording.hidden} == HIDDEN


def _covered(recordings: Iterable[Recording]) -> set[str]:
    return {kind for recording in recordings for kind in recording.covered}
