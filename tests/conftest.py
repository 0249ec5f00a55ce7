"""Clean clones of the template, and projects that are rendered and installed once a session."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.projects import FEATURES, PLACES, PRESETS, ROOT, Project, clean_environment, render

from tests import type_checker

# First, because a worker would be left alone with one of them at the end.
LONGEST = (
    "test_texts.py",
    "test_update.py",
    "test_rendered_suites.py",
    "test_mcp_interop.py",
    "test_protocol.py",
    "test_customize.py",
    "test_hooks.py",
    "test_specs.py",
)
UNREACHABLE = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(name) if (name := item.path.name) in LONGEST else 99)


@pytest.fixture(scope="session")
def workshop() -> Iterator[Path]:
    """A folder for what is rendered and installed.

    It is not pytest's own, because any other pytest of the same user closes that folder to other
    users at its start, such as to the one that PostgreSQL runs as.
    """
    folder = Path(tempfile.mkdtemp(prefix="copier-chatkit-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def clone(workshop: Path) -> Path:
    """Clone HEAD, so that nothing counts that is not committed."""
    folder = workshop / "copier-chatkit"
    command = ["git", "clone", "--quiet", "--no-local", str(ROOT), str(folder)]
    subprocess.run(command, env=clean_environment(), check=True)
    return folder


@pytest.fixture
def template(clone: Path, tmp_path: Path) -> Project:
    """A clone of the template that a test may change and tag."""
    folder = tmp_path / "template"
    shutil.copytree(clone, folder, symlinks=True)
    return Project(folder)


@pytest.fixture(scope="session")
def installed(clone: Path, workshop: Path) -> Callable[[str], Project]:
    """Give a function that returns a preset, rendered and installed once a session."""
    projects: dict[str, Project] = {}

    def get(preset: str) -> Project:
        if preset not in projects:
            projects[preset] = render(clone, workshop / PLACES[preset], **PRESETS[preset])
            projects[preset].uv("sync", "--quiet")
        return projects[preset]

    return get


@pytest.fixture(scope="session")
def _living(installed: Callable[[str], Project]) -> Project:
    """The whole project as a repository, so that what a test does can be undone."""
    project = installed("full")
    project.git("init", "--quiet")
    project.commit("Start from copier-chatkit")
    return project


@pytest.fixture
def lived_in(_living: Project) -> Iterator[Project]:
    """The whole project, installed, for one test to change."""
    yield _living
    _living.git("reset", "--quiet", "--hard")
    _living.git("clean", "--quiet", "--force", "-d", "-x", "--exclude", ".venv")


@pytest.fixture(scope="session")
def rendered(clone: Path, workshop: Path) -> Project:
    """A project with every feature, as it is right after the first commit; not to be changed."""
    project = render(clone, workshop / "rendered", features=FEATURES)
    project.git("init", "--quiet")
    project.commit("Start")
    return project


@pytest.fixture
def project(rendered: Project, tmp_path: Path) -> Project:
    """A copy that a test may change, with a home of its own and no way out of the machine."""
    shutil.copytree(rendered.folder, tmp_path / "project")
    home = {"HOME": str(tmp_path / "home"), "USERPROFILE": str(tmp_path / "home")}
    return Project(tmp_path / "project", environment=home | UNREACHABLE)


@pytest.fixture(scope="session")
def types(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with TypeScript's checker and ChatKit's types."""
    return type_checker.install(tmp_path_factory.mktemp("typescript"))
