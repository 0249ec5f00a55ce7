"""The template's sources: no Jinja in Python, one table of features, nothing said twice."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

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
    assert len(QUESTIONS) <= 9
    for name, question in QUESTIONS.items():
        assert "default" in question, name
        assert question["help"], name
        assert "validator" in question or "choices" in question, name


def test_every_feature_can_be_left_out_whole() -> None:
    folders = {
        path.name
        for path in (TEMPLATE / "app/features").iterdir()
        if (path / "__init__.py").exists()
    }
    excluded = "\n".join(yaml.safe_load((ROOT / "copier.yml").read_text())["_exclude"])

    assert folders == set(QUESTIONS["features"]["choices"].values())
    for feature in folders:
        assert f"/app/features/{feature}" in excluded
        assert f"/tests/features/{feature}" in excluded
        assert any((TEMPLATE / "tests/features" / feature).glob("test_*.py"))


def test_no_tasks_and_no_extensions_are_needed() -> None:
    settings = yaml.safe_load((ROOT / "copier.yml").read_text())

    assert "_tasks" not in settings
    assert "_migrations" not in settings
    assert "_jinja_extensions" not in settings
    assert settings["_envops"]["undefined"] == "jinja2.StrictUndefined"


def test_the_backends_packages_are_the_same_here_and_there() -> None:
    here = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["backend"]
    there = (TEMPLATE / "pyproject.toml.jinja").read_text()
    listed = there.partition("\ndependencies = [")[2].partition("]\n\n")[0]

    assert here == re.findall(r'"([^"]+)"', listed)


def test_a_features_packages_are_a_group_of_its_own_here_and_there() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    there = (TEMPLATE / "pyproject.toml.jinja").read_text()
    features = QUESTIONS["features"]["choices"].values()

    for feature in groups.keys() & features:
        rendered = f'{{%- if "{feature}" in features %}}\n{feature} = [\n'
        listed = there.partition(rendered)[2].partition("]\n{%- endif %}")[0]
        assert groups[feature] == re.findall(r'"([^"]+)"', listed)
    assert set(re.findall(r"features %}\n(\w+) = \[", there)) == groups.keys() & features


def test_the_changelog_has_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert re.search(
        rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )


def test_every_link_in_the_documents_leads_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("bench/*.md")]:
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
