"""Tests the whole ChatKit protocol over real sockets, with both wire formats of model APIs.

    WRITE_GOLDEN=1 uv run pytest tests/acceptance/protocol

writes the golden transcripts again. Review them with `git diff`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pytest
from chatkit.types import ThreadStreamEvent
from pydantic import BaseModel
from support.app import TESTS
from support.protocol.golden import check_golden, check_nothing_is_stale
from support.protocol.recording import Recording
from support.protocol.scenarios import Scenarios
from support.protocol.sdk import HIDDEN, Kind, Types, hooks
from support.protocol.shared import shared_recordings

pytestmark = pytest.mark.slow

CORE = Scenarios([Path(__file__).parent], "with_the_features_of_the_tests")
FEATURES = Scenarios(TESTS.glob("features/*/protocol"), "with_the_features_of_the_engine")


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    return shared_recordings("core", CORE, tmp_path_factory)


@pytest.mark.parametrize("name", CORE.by_name)
def test_a_conversation_goes_as_its_golden_transcript_says(
    recordings: list[Recording], name: str
) -> None:
    check_golden(CORE.by_name[name], recordings)


def test_the_features_conversations_go_as_their_golden_transcripts_say(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    recordings = shared_recordings("features", FEATURES, tmp_path_factory)

    for scenario in FEATURES.by_name.values():
        check_golden(scenario, recordings)


@pytest.mark.parametrize("scenarios", [CORE, FEATURES], ids=["core", "features"])
def test_no_golden_transcript_is_stale(scenarios: Scenarios) -> None:
    check_nothing_is_stale(scenarios)


def test_every_kind_of_the_protocol_came_or_went(recordings: list[Recording]) -> None:
    """Where this fails after an update of the SDK, it names what has to be built and driven."""
    assert sorted(Types().kinds - _covered(recordings)) == []


def test_every_hook_was_called(recordings: list[Recording]) -> None:
    assert sorted(hooks() - _covered(recordings)) == []


def test_hidden_context_is_stored_and_never_shown(recordings: list[Recording]) -> None:
    shown = {kind for recording in recordings for kind in recording.kinds}

    assert not HIDDEN & shown
    assert {kind for recording in recordings for kind in recording.hidden} == HIDDEN


class NewEvent(BaseModel):
    """What a new version of the SDK may bring."""

    type: Literal["thread.split"] = "thread.split"
    mode: Literal["soft", "hard"] = "soft"


def test_additions_of_a_new_sdk_version_are_detected() -> None:
    newer = Types([ThreadStreamEvent | NewEvent])

    found = newer.kinds - Types().kinds
    assert {kind.rpartition(" ")[2] for kind in found} >= {"thread.split", "soft", "hard"}
    assert newer.found_in(NewEvent()) - Types().kinds


def _covered(recordings: Iterable[Recording]) -> set[Kind]:
    return {kind for recording in recordings for kind in recording.covered}
