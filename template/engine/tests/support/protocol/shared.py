"""The recordings of one test run. They are made once and shared by its processes."""

import os
from pathlib import Path

import pytest
from filelock import FileLock

from support.protocol.recording import Recording, from_json, to_json
from support.protocol.scenarios import Scenarios

EXPORT = "PROTOCOL_RECORDINGS"


def shared_recordings(
    name: str, scenarios: Scenarios, folders: pytest.TempPathFactory
) -> list[Recording]:
    """Hold the conversations, unless another of the tests' processes has done it already.

    They are also written to the folder that PROTOCOL_RECORDINGS names.
    """
    folder = folders.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    file = folder / f"{name}.json"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            recorded = to_json(scenarios.play(folders.mktemp(name)))
            file.write_text(recorded)
            if export := os.environ.get(EXPORT):
                (Path(export) / file.name).write_text(recorded)
    return from_json(file.read_text())
