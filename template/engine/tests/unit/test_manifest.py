"""Which files of the engine were edited since its release."""

import shutil
from pathlib import Path

import pytest

from chatkit_engine import manifest

HOOKS = "src/chatkit_engine/builder.py"
RAG = "src/chatkit_engine/features/rag"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the engine, with a manifest of its own."""
    folder = tmp_path / "engine"
    ignored = shutil.ignore_patterns(*manifest.IGNORED)
    shutil.copytree(manifest.ENGINE, folder, ignore=ignored)
    monkeypatch.setattr(manifest, "FILE", folder / "src/chatkit_engine/manifest.json")
    manifest.write("1.2.3", folder)
    return folder


def test_an_untouched_engine_is_as_released(engine: Path) -> None:
    assert str(manifest.changes(engine)) == "1.2.3, as released"


def test_line_ends_make_no_difference(engine: Path) -> None:
    file = engine / HOOKS
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))

    assert str(manifest.changes(engine)) == "1.2.3, as released"


def test_edited_missing_and_added_files_are_named(engine: Path) -> None:
    (engine / HOOKS).write_text("# mine\n")
    (engine / "README.md").unlink()
    (engine / "src/chatkit_engine/mine.py").write_text("# new\n")

    assert str(manifest.changes(engine)) == (
        f"1.2.3, 1 file edited: {HOOKS}; 1 file missing: README.md; "
        "1 file added: src/chatkit_engine/mine.py"
    )


def test_a_feature_that_is_off_is_not_missing(engine: Path) -> None:
    for folder in (engine / RAG, engine / "tests/features/rag"):
        shutil.rmtree(folder, ignore_errors=True)

    assert str(manifest.changes(engine)) == "1.2.3, as released"


def test_without_the_project_around_it_nothing_is_compared(tmp_path: Path) -> None:
    assert manifest.changes(tmp_path) is None
