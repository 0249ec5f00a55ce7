"""Golden transcripts: one for both wire formats, or one for each if they differ."""

import os
from pathlib import Path

from support.protocol.recording import Recording
from support.protocol.scenarios import Scenario, Scenarios
from support.protocol.transcript import difference, read, write

WRITE = "WRITE_GOLDEN"


def check_golden(scenario: Scenario, recordings: list[Recording]) -> None:
    """Compare what a conversation did on each wire with its golden transcript, event by event."""
    ours = [each for each in recordings if each.place == scenario.place]
    assert [each.wire for each in ours] == list(scenario.wires)
    for recording in ours:
        assert not recording.failure, recording.failure
    if os.environ.get(WRITE):
        _write(scenario, ours)
    differences = [_difference(scenario, each) for each in ours]
    assert not any(differences), "\n".join(differences)


def check_nothing_is_stale(scenarios: Scenarios) -> None:
    """Check that each golden transcript is some conversation's, and that none is there twice."""
    paths = [path for folder in scenarios.folders for path in folder.glob("golden/*.json")]
    assert {_name(path) for path in paths} == scenarios.by_name.keys()
    for path in paths:
        first = scenarios.by_name[_name(path)].golden()
        twice = path != first and not difference(read(first), read(path))
        assert not twice, f"{path.name} says the same as {first.name}: delete it"


def _name(path: Path) -> str:
    return path.name.partition(".")[0]


def _write(scenario: Scenario, recordings: list[Recording]) -> None:
    first, *others = recordings
    write(scenario.golden(), first.transcript)
    for other in others:
        path = scenario.golden(other.wire)
        path.unlink(missing_ok=True)
        if difference(first.transcript, other.transcript):
            write(path, other.transcript)


def _difference(scenario: Scenario, recording: Recording) -> str:
    own = scenario.golden(recording.wire)
    path = own if own.exists() else scenario.golden()
    assert path.exists(), f"{path.name} is missing: write it with {WRITE}=1"
    found = difference(read(path), recording.transcript)
    return f"{scenario.name} on {recording.wire}:\n{found}" if found else ""
