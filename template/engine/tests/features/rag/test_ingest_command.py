"""Tests the command `ingest` on a terminal."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from support.app import SECRET, TESTS
from support.cli import cli
from typer.testing import CliRunner, Result

from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply

# Tests that run in the background may be told to ignore the signal, and their children with them.
ENTRY = "from chatkit_engine.cli import main; main('sample')"
INTERRUPTIBLE = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
WAIT_SECONDS = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# A\n\nApples.\n\n# B\n\nBees.")
    (folder / "b.txt").write_text("Cars.")
    return folder


def _run(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(cli, ["ingest", *map(str, arguments)], env=environment)


def test_ingest_prints_a_summary(folder: Path) -> None:
    (folder / "picture.png").write_bytes(b"\x89PNG")
    first = _run(folder)
    (folder / "b.txt").unlink()
    second = _run(folder)

    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines() == [
        "docs: 2 added, 0 changed, 0 unchanged, 0 deleted, 0 refused",
        "3 chunks written, 3 embedded by local-1",
        "skipped, because no reader supports them: 1 .png",
    ]
    assert "2/2 b.txt" in first.stderr
    assert "docs: 0 added, 0 changed, 1 unchanged, 1 deleted, 0 refused" in second.stdout


def test_refused_files_are_named_with_the_reason(folder: Path) -> None:
    (folder / "latin\x1b[31m.md").write_bytes(b"\xff")

    result = _run(folder)

    assert result.exit_code == 1
    assert "2 added" in result.stdout
    assert (
        "refused latin?[31m.md: The file is not text in UTF-8: save it as UTF-8." in result.stderr
    )
    assert "\x1b" not in result.output


def test_documents_of_the_same_source_are_kept_apart_by_user_and_name(folder: Path) -> None:
    _run(folder)
    own = _run(folder, "--user", "ada")
    named = _run(folder, "--name", "other")
    again = _run(folder, "--user", "ada")

    assert "2 added" in own.stdout
    assert named.stdout.startswith("other: 2 added")
    assert "2 unchanged" in again.stdout


def test_a_folder_without_the_documents_needs_the_option_replace(
    folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "docs"
    other.mkdir(parents=True)
    (other / "new.md").write_text("New.")
    _run(folder)

    refused = _run(other)
    replaced = _run(other, "--replace")

    assert refused.exit_code == 1
    assert "--replace" in refused.stderr
    assert "docs: 1 added, 0 changed, 0 unchanged, 2 deleted, 0 refused" in replaced.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--name", ""), "--name"),
        (("--name", "a\nb"), "--name"),
        (("--name", "x" * 201), "--name"),
        (("--user", ""), "--user"),
        (("--user", "x" * 256), "--user"),
    ],
)
def test_invalid_names_are_refused(folder: Path, arguments: tuple[str, ...], says: str) -> None:
    result = _run(folder, *arguments)

    assert result.exit_code == 1
    assert says in result.stderr
    assert "Traceback" not in result.output


def test_a_path_that_is_not_there_is_refused() -> None:
    result = _run("nothing")

    assert result.exit_code == 2
    assert "'nothing' does not exist" in result.output


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"VECTOR_STORE": "qdrant"}, "QDRANT_URL"),
        ({"VECTOR_STORE": "pgvector"}, "PostgreSQL"),
        ({"VECTOR_STORE": "many"}, "VECTOR_STORE"),
        ({"EMBEDDING_MODEL": "mine"}, "EMBEDDING_API_KEY"),
        ({"EMBEDDING_MODEL": "mine", "OPENAI_API_KEY": "sk"}, "EMBEDDING_DIMENSIONS"),
        ({"EMBEDDING_BASE_URL": "nonsense"}, "EMBEDDING_BASE_URL"),
        ({"DATABASE_URL": "mysql://localhost/x"}, "DATABASE_URL"),
    ],
)
def test_wrong_settings_stop_it_with_a_message(
    folder: Path, environment: dict[str, str], says: str
) -> None:
    result = _run(folder, **environment)

    assert result.exit_code == 1
    assert says in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("status", "says"), [(401, "EMBEDDING_API_KEY"), (404, "EMBEDDING_MODEL"), (400, "refused")]
)
def test_an_api_that_refuses_is_explained_to_the_operator(
    folder: Path, model_api: FakeModelApi, status: int, says: str
) -> None:
    model_api.embeddings.script(Reply(status=status))

    result = _run(folder, OPENAI_API_KEY="sk-secret", OPENAI_BASE_URL=model_api.url)

    assert result.exit_code == 1
    assert says in result.stderr
    assert "sk-secret" not in result.output
    assert "scripted" not in result.output


def test_in_production_the_database_is_migrated_by_hand(folder: Path) -> None:
    production = {
        "ENVIRONMENT": "production",
        "PUBLIC_URL": "https://chat.example.com",
        "AUTH_MODE": "jwt",
        "JWT_SECRET": SECRET,
        "OPENAI_API_KEY": "sk-test",
        "EMBEDDING_MODEL": "local",
    }

    result = _run(folder, **production)
    migrated = CliRunner().invoke(cli, ["migrate"], env=production)
    again = _run(folder, **production)

    assert result.exit_code == 1
    assert "Run `migrate` first" in result.stderr
    assert "rag:0001" in migrated.stdout
    assert again.exit_code == 0, again.output


@pytest.mark.slow
def test_the_next_run_continues_after_ctrl_c(
    folder: Path, tmp_path: Path, model_api: FakeModelApi
) -> None:
    parts = (f"# Part {number}\n\nWords of {number}." for number in range(300))
    (folder / "long.md").write_text("\n\n".join(parts))
    model_api.embeddings.script(Reply(), Reply(), Reply(hangs=True))
    environment = {
        "PYTHONPATH": str(TESTS),
        "PATH": os.environ["PATH"],
        "DATABASE_URL": f"sqlite:///{tmp_path}/chat.db",
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": model_api.url,
    }
    command = [sys.executable, "-c", f"{INTERRUPTIBLE}; {ENTRY}", "ingest", str(folder)]

    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    _wait_for_requests(model_api, 3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=WAIT_SECONDS)
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert process.returncode == 130
    assert errors.splitlines()[-1] == "Interrupted: run it again to continue."
    assert "Traceback" not in errors
    assert again.returncode == 0, again.stderr
    requests = model_api.embeddings.requests
    answered = [text for request in [*requests[:2], *requests[3:]] for text in request["input"]]
    assert len(answered) == 303
    assert max(Counter(answered).values()) == 1


def _wait_for_requests(model_api: FakeModelApi, number: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while len(model_api.embeddings.requests) < number:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_help_names_the_command() -> None:
    shown = re.sub(r"\s+", " ", CliRunner().invoke(cli, ["--help"]).stdout)

    assert "ingest" in shown
