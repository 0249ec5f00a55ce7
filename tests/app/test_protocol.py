"""The application's own conversations over real sockets, as their golden transcripts say."""

from pathlib import Path

import pytest
from support.protocol.golden import check_golden, check_nothing_is_stale
from support.protocol.scenarios import Scenarios
from support.protocol.shared import shared_recordings

HERE = Path(__file__).parent
APPLICATION = Scenarios([HERE / "notes"], "with_the_application", HERE)


def test_the_conversations_go_as_their_golden_transcripts_say(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    recordings = shared_recordings("app", APPLICATION, tmp_path_factory)

    for scenario in APPLICATION.by_name.values():
        check_golden(scenario, recordings)


def test_no_golden_transcript_is_stale() -> None:
    check_nothing_is_stale(APPLICATION)
