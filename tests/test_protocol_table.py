"""`docs/protocol.md`: a row for each kind of ChatKit's protocol, and each row is true.

What the rows say is compared with recordings of the conversations, on servers of their own.
"""

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.projects import ROOT, clean_environment

ENGINE = ROOT / "template/engine"
TABLE = ROOT / "docs/protocol.md"
OURS = "template/engine/src/"
ROW = re.compile(r"^\| `([^`]+)` \| (.+) \| (.+) \| (.+) \|$")
LINK = re.compile(r"\[([^]]+)\]\(\.\./([^)]+)\)")
# Where conversations are held: the folder to run the tests in, and which of them.
SUITES: dict[Path, list[str]] = {
    ENGINE: ["tests/acceptance/protocol", "-k", "every_kind or every_hook or the_features"],
    ROOT / "tests/app": ["test_protocol.py", "-k", "the_conversations"],
}


class Row(NamedTuple):
    """A kind, its description, the files that implement it, and the places that drive it.

    Paths are those below this repository.
    """

    kind: str
    words: str
    files: list[str]
    places: list[str]


class Recordings(NamedTuple):
    """By kind: the places that drive it, and the files in which a hook was called."""

    places: dict[str, set[str]]
    files: dict[str, set[str]]


def _rows() -> list[Row]:
    rows: list[Row] = []
    group = ""
    for line in TABLE.read_text().splitlines():
        if line.startswith("## "):
            group = "".join(re.findall(r"`(.+)`", line))
        if found := ROW.match(line):
            name, words, files, driven = found.groups()
            places = [f"{file}::{place}" for place, file in LINK.findall(driven)]
            paths = [path for _, path in LINK.findall(files)]
            rows.append(Row(f"{group} {name}".strip(), words, paths, places))
    return rows


ROWS = _rows()


def _protocol() -> set[str]:
    """Return the kinds as the engine's own tests read them from the SDK."""
    spec = spec_from_file_location("sdk", ENGINE / "tests/support/protocol/sdk.py")
    assert spec
    assert spec.loader
    sdk = module_from_spec(spec)
    spec.loader.exec_module(sdk)
    return sdk.Types().kinds | sdk.hooks()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """Return what the suites recorded in `make test`, or else hold the conversations now."""
    if recorded := os.environ.get("PROTOCOL_RECORDINGS"):
        return _joined(json.loads(path.read_text()) for path in Path(recorded).glob("*.json"))
    folder = tmp_path_factory.mktemp("recordings")
    for suite, tests in SUITES.items():
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", *tests],
            cwd=suite,
            env=clean_environment() | {"PROTOCOL_RECORDINGS": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout
    return _joined(json.loads(path.read_text()) for path in folder.glob("*.json"))


def _joined(files: Iterable[list[dict[str, Any]]]) -> Recordings:
    joined = Recordings(defaultdict(set), defaultdict(set))
    for recording in (each for file in files for each in file):
        place = _below_root(recording["place"])
        for kind in (*recording["kinds"], *recording["hidden"]):
            joined.places[kind].add(place)
        for kind, path in recording["hooks"]:
            joined.places[kind].add(place)
            joined.files[kind].add(_below_root(path))
    return joined


def _below_root(path: str) -> str:
    """Return a path below this repository; the recordings have it as seen from the engine."""
    return os.path.relpath(ENGINE / path, ROOT)


def test_every_kind_has_one_row_and_no_row_is_stale() -> None:
    assert sorted(row.kind for row in ROWS) == sorted(_protocol())


def test_every_row_says_what_where_and_by_what() -> None:
    for row in ROWS:
        assert row.words.strip(), row.kind
        assert row.files, row.kind
        assert row.places, row.kind
        for path in row.files:
            assert (ROOT / path).is_file(), f"{row.kind}: {path}"


def test_every_conversation_drives_what_its_rows_say(recordings: Recordings) -> None:
    untrue = {row.kind: set(row.places) - recordings.places[row.kind] for row in ROWS}

    assert not {kind: places for kind, places in untrue.items() if places}


def test_every_hook_is_where_its_row_says(recordings: Recordings) -> None:
    """A hook that is the SDK's own is inherited by the file that its row names."""
    for row in ROWS:
        ours = {path for path in recordings.files[row.kind] if path.startswith(OURS)}
        assert not ours or set(row.files) <= ours, f"{row.kind}: {sorted(ours)}"


def test_no_conversation_is_left_out(recordings: Recordings) -> None:
    driven = set().union(*recordings.places.values())

    assert {place.partition("::")[0] for place in driven} == {
        str(path.relative_to(ROOT)) for path in _conversation_files()
    }


def _conversation_files() -> list[Path]:
    patterns = (
        "template/engine/tests/**/protocol/scenarios/*.py",
        "tests/app/**/scenarios/*.py",
    )
    files = (path for pattern in patterns for path in ROOT.glob(pattern))
    return [path for path in files if "__pycache__" not in path.parts]
