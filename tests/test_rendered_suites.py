"""Projects with all features and with none, installed, run their own checks and their own tests."""

import re
import tomllib
from collections.abc import Callable

import pytest
from tests.projects import FEATURES, PRESETS, Project

REAL_LOOKING_KEY = "OPENAI_API_KEY=sk-proj-0123456789abcdefghijklmnopqrstuvwxyz\nAUTH_MODE=jwt\n"
Installed = Callable[[str], Project]
VARIABLES = {
    "AUTH_MODE": "local",
    "LLM_PROVIDER": "demo",
    "DATABASE_URL": "sqlite:///data/chat.db",
}
QUICK_ENGINE_TESTS = ("engine/tests/unit", "-m", "not slow", "-n", "2")


def _passed(output: str) -> int:
    assert not re.search(r"skipped|xfailed|warnings", output), output
    found = re.search(r"(\d+) passed", output)
    assert found, output
    return int(found.group(1))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_users_tests_are_green_and_the_checkers_are_silent(
    installed: Installed, preset: str
) -> None:
    project = installed(preset)
    project.write(".env", REAL_LOOKING_KEY)

    assert _passed(project.uv_run("pytest", "-q", "-p", "no:cacheprovider")) > 20
    assert " 0 broken" in project.uv_run("lint-imports", "--no-cache")
    project.uv_run("ruff", "check", "--no-cache", ".")
    project.uv_run("ruff", "format", "--no-cache", "--check", ".")


def test_the_types_are_right_without_any_feature(installed: Installed) -> None:
    """With all of them, they are checked where the template stands."""
    assert "0 errors" in installed("empty").uv_run("pyright")


def test_a_path_with_spaces_and_a_slug_with_digits(installed: Installed) -> None:
    project = installed("empty")
    metadata = tomllib.loads(project.read("pyproject.toml"))["project"]

    assert metadata["name"] == "3d-chat-2"
    assert metadata["scripts"] == {"3d-chat-2": "chatkit_engine.cli:main"}
    assert "authors" not in metadata
    said = project.uv_run("3d-chat-2", "chat", "Hello", **VARIABLES)
    assert "You said: Hello" in said


def test_the_engines_tests_need_none_of_its_features(installed: Installed) -> None:
    project = installed("empty")

    output = project.uv_run("pytest", "-q", *QUICK_ENGINE_TESTS)

    assert _passed(output) > 100


def test_the_engine_is_as_released(installed: Installed) -> None:
    for preset, command in (("full", "my-assistant"), ("empty", "3d-chat-2")):
        output = installed(preset).uv_run(command, "doctor", **VARIABLES)
        assert "engine: 0.1.0, as released" in output


def test_a_private_import_is_refused_in_words(installed: Installed) -> None:
    project = installed("full")
    private = "from chatkit_engine.assistant.context import TurnContext\n\nprint(TurnContext)\n"
    project.write("app/tools/private.py", private)
    try:
        with pytest.raises(AssertionError, match="Write `from chatkit_engine import TurnContext`"):
            project.uv_run("lint-imports", "--no-cache")
    finally:
        (project.folder / "app/tools/private.py").unlink()


def test_what_a_project_shows_can_be_read_in_a_minute(installed: Installed) -> None:
    project = installed("full")
    files = [path for path in (project.folder / "app").rglob("*") if path.is_file()]
    files = [path for path in files if "__pycache__" not in path.parts]
    lines = sum(len(path.read_text().splitlines()) for path in files if path.suffix == ".py")

    assert len(files) <= 45
    assert lines <= 1200
    assert len(project.read("README.md").splitlines()) <= 120
    assert set(FEATURES) >= {"notes"}
