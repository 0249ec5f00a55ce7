"""Golden transcripts: one for both wires, and a second one where a wire makes a difference."""

import os

from tests.support.protocol.scenarios import Recording, Scenarios
from tests.support.protocol.transcript import difference, read, write

WRITE = "WRITE_GOLDEN"


def check_golden(scenarios: Scenarios, name: str, recordings: list[Recording]) -> None:
    """Compare what a conversation did on each wire with its golden transcript, event by event."""
    scenario = scenarios.by_name[name]
    ours = [each for each in recordings if each.place == scenario.place]
    assert [each.wire for each in ours] == list(scenario.wires)
    for recording in ours:
        assert not recording.failure, recording.failure
    if os.environ.get(WRITE):
        _write(scenarios, name, ours)
    differences = [_difference(scenarios, name, each) for each in ours]
    assert not any(differences), "\n".join(differences)


def check_nothing_is_stale(scenarios: Scenarios) -> None:
    """Check that each golden transcript is some conversation's."""
    names = {path.name.partition(".")[0] for path in scenarios.golden.glob("*.json")}
    assert names == scenarios.by_name.keys()
    for path in scenarios.golden.glob("*.*.json"):
        first = scenarios.golden / f"{path.name.partition('.')[0]}.json"
        assert difference(read(first), read(path)), f"{path.name} says the same: delete it"


def _write(scenarios: Scenarios, name: str, recordings: list[Recording]) -> None:
    first, *others = recordings
    write(scenarios.golden / f"{name}.json", first.transcript)
    for other in others:
        path = scenarios.golden / f"{name}.{other.wire}.json"
        path.unlink(missing_ok=True)
        if difference(first.transcript, other.transcript):
            write(path, other.transcript)


def _difference(scenarios: Scenarios, name: str, recording: Recording) -> str:
    own = scenarios.golden / f"{name}.{recording.wire}.json"
    path = own if own.exists() else scenarios.golden / f"{name}.json"
    assert path.exists(), f"{path.name} is missing: write it with {WRITE}=1"
    found = difference(read(path), recording.transcript)
    return f"{name} on {recording.wire}:\n{found}" if found else ""
