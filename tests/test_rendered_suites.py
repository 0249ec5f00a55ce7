"""Each preset, installed in an environment of its own, runs its own checks and its own tests."""

import re
from collections.abc import Callable

import pytest

from tests.projects import FEATURES, PRESETS, Project

REAL_LOOKING_KEY = "OPENAI_API_KEY=sk-proj-0123456789abcdefghijklmnopqrstuvwxyz\nAUTH_MODE=jwt\n"
Installed = Callable[[str], Project]


QUICK = ("-n", "2", "-m", "not slow")


def _suite(preset: str) -> tuple[str, ...]:
    """Return the tests to run: all; the quick ones; or a lone feature's, beside the core's units.

    That no test of the core needs a feature is seen without any.
    """
    if preset == "full":
        return ()
    if preset == "empty":
        return QUICK
    return (*QUICK, "tests/unit", f"tests/features/{preset.removeprefix('only-')}")


@pytest.mark.parametrize("preset", PRESETS)
def test_the_suite_is_green_and_the_checkers_are_silent(installed: Installed, preset: str) -> None:
    project = installed(preset)
    project.write(".env", REAL_LOOKING_KEY)
    suite = _suite(preset)

    output = project.uv("run", "--no-sync", "pytest", "-q", "-p", "no:cacheprovider", *suite)

    passed = re.search(r"(\d+) passed", output)
    assert passed
    assert int(passed.group(1)) > 100
    assert not re.search(r"skipped|xfailed|warnings", output)
    assert "0 errors" in project.uv("run", "--no-sync", "pyright")
    project.uv("run", "--no-sync", "ruff", "check", "--no-cache", ".")
    project.uv("run", "--no-sync", "ruff", "format", "--no-cache", "--check", ".")


def test_a_feature_that_is_deleted_by_hand_leaves_a_working_project(installed: Installed) -> None:
    project = installed("full")
    for feature in FEATURES:
        for folder in (f"app/features/{feature}", f"tests/features/{feature}"):
            project.run("mv", folder, f"../{folder.replace('/', '-')}")
    try:
        project.uv("run", "--no-sync", "pytest", "-q", "tests/unit", "-p", "no:cacheprovider")
    finally:
        for feature in FEATURES:
            for folder in (f"app/features/{feature}", f"tests/features/{feature}"):
                project.run("mv", f"../{folder.replace('/', '-')}", folder)
