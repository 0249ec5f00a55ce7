"""The template's sources: no Jinja in Python, one table of features, nothing said twice."""

import ast
import re
import subprocess
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml

from chatkit_engine import manifest

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "template"
PYTHON = sorted(
    path.relative_to(ROOT) for path in TEMPLATE.rglob("*.py") if "__pycache__" not in path.parts
)
QUESTIONS: dict[str, Any] = {
    name: question
    for name, question in yaml.safe_load((ROOT / "copier.yml").read_text()).items()
    if not name.startswith("_")
}


def _tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "template"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.splitlines()


@pytest.mark.parametrize("path", PYTHON, ids=str)
def test_python_parses_where_it_stands_and_has_no_jinja(path: Path) -> None:
    source = (ROOT / path).read_text()

    ast.parse(source)
    assert not re.search(r"\{%|\{\{", source)


def test_names_of_files_have_no_logic() -> None:
    assert not [path for path in _tracked() if "{%" in path]


def test_there_are_no_links_in_the_template() -> None:
    assert not [path for path in _tracked() if (ROOT / path).is_symlink()]


def test_links_of_this_repository_lead_into_the_template() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    links = [ROOT / path for path in listed.stdout.splitlines() if (ROOT / path).is_symlink()]

    assert links
    for link in links:
        assert link.exists(), link
        assert TEMPLATE in link.resolve().parents, link


def test_every_question_has_a_default_and_a_help() -> None:
    assert len(QUESTIONS) <= 10
    for name, question in QUESTIONS.items():
        assert "default" in question, name
        assert question["help"], name
        assert "validator" in question or "choices" in question, name


def test_a_project_cannot_be_called_like_a_package_or_a_command_that_it_uses() -> None:
    """uv finds no lock, or the wrong program runs."""
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    commands = [each.name for each in entry_points(group="console_scripts")]
    slug = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
    used = {
        name for name in (*(each["name"] for each in locked), *commands) if slug.fullmatch(name)
    }

    refused = set(re.findall(r"'([^']+)'", QUESTIONS["project_slug"]["validator"]))
    assert sorted(used - refused) == []


def test_every_feature_can_be_left_out_whole() -> None:
    """Each folder of a feature, in the application and in the engine, is named in the table."""
    engine, app = TEMPLATE / "engine/src/chatkit_engine/features", TEMPLATE / "app/features"
    excluded = "\n".join(yaml.safe_load((ROOT / "copier.yml").read_text())["_exclude"])
    features = QUESTIONS["features"]["choices"].values()

    for place, tests in ((engine, "/engine/tests/features"), (app, "/tests/features")):
        for folder in [path.parent for path in place.glob("*/feature.py")]:
            assert folder.name in features
            assert f"/{folder.relative_to(TEMPLATE)}" in excluded
            assert f"{tests}/{folder.name}" in excluded
            assert list((TEMPLATE / tests[1:] / folder.name).glob("test_*.py"))
    for feature in features:
        assert f"'{feature}' not in features" in excluded


def test_no_tasks_and_no_extensions_are_needed() -> None:
    settings = yaml.safe_load((ROOT / "copier.yml").read_text())

    assert "_tasks" not in settings
    assert "_migrations" not in settings
    assert "_jinja_extensions" not in settings
    assert settings["_envops"]["undefined"] == "jinja2.StrictUndefined"


def test_each_extra_of_the_engine_is_a_feature_or_a_tool() -> None:
    engine = tomllib.loads((TEMPLATE / "engine/pyproject.toml").read_text())["project"]
    features = set(QUESTIONS["features"]["choices"].values())

    assert engine["optional-dependencies"].keys() - features == {"lint", "testing"}


def test_the_manifest_is_that_of_the_engines_files() -> None:
    assert str(manifest.changes()).endswith(", as released"), "run `make manifest`"


def test_the_changelog_has_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert re.search(
        rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )


def test_every_link_in_the_documents_leads_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("bench/*.md")]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
