"""What is rendered, for every combination of answers; and answers that are refused."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from itertools import chain, combinations, cycle, product
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.projects import FEATURES, Project, render
from tests.texts import FENCE

# All features, none, each alone and each left out: every three of them in every state. The other
# answers, which change nothing about the features, in turns.
COUNTS = (0, 1, len(FEATURES) - 1, len(FEATURES))
SUBSETS = chain.from_iterable(combinations(FEATURES, count) for count in COUNTS)
COMBINATIONS = [
    {"features": list(features), "ci": ci, "database": database, "languages": languages}
    for features, (ci, database, languages) in zip(
        SUBSETS,
        cycle(product(("github", "none"), ("sqlite", "postgres"), ([], ["de"]))),
        strict=False,
    )
]
FOLDERS = {
    "notes": ("app/features/notes", "tests/features/notes"),
    "handoffs": ("app/agents/writer.py", "tests/agents/test_handoffs.py", "docs/handoffs.md"),
    **{
        name: (f"engine/src/chatkit_engine/features/{name}", f"engine/tests/features/{name}", page)
        for name, page in {
            "attachments": "docs/files.md",
            "mcp": "docs/mcp.md",
            "rag": "docs/documents.md",
        }.items()
    },
}
TEXT = {
    ".py",
    ".pyi",
    ".toml",
    ".md",
    ".yml",
    ".yaml",
    ".ini",
    ".json",
    ".mako",
    ".widget",
    ".po",
    ".example",
    ".env",
    ".html",
    ".txt",
    "",
}
BINARY = {".mo"}


def _files(project: Project) -> list[Path]:
    return [
        path for path in project.folder.rglob("*") if path.is_file() and ".git" not in path.parts
    ]


def _unresolved(project: Project) -> set[str]:
    """Return the imports of the project's own modules that lead nowhere."""
    roots = [project.folder, project.folder / "engine/src", project.folder / "engine/tests"]
    own = {path.stem for root in roots for path in root.iterdir()} & {
        *("app", "chatkit_engine", "sample", "support", "features")
    }
    missing: set[str] = set()
    for file in project.folder.glob("**/*.py"):
        for module in _imported(file.read_text()):
            if module.partition(".")[0] in own:
                places = [root / module.replace(".", "/") for root in roots]
                if not any(p.is_dir() or p.with_suffix(".py").exists() for p in places):
                    missing.add(f"{file.relative_to(project.folder)}: {module}")
    return missing


@cache
def _imported(code: str) -> list[str]:
    """Return the modules that a file's `from ... import` statements name."""
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    return [node.module for node in imports if node.module and not node.level]


@pytest.mark.parametrize(
    "answers",
    COMBINATIONS,
    ids=lambda a: "-".join([*a["features"], a["database"], "ci", a["ci"], *a["languages"]]),
)
def test_every_combination_is_whole(clone: Path, tmp_path: Path, answers: dict[str, Any]) -> None:
    project = render(clone, tmp_path / "project", **answers)

    for path in _files(project):
        assert path.stat().st_size > 0 or path.name == "__init__.py", f"{path} is empty"
        assert path.suffix in TEXT | BINARY, path
        source = clone / "template" / path.relative_to(project.folder)
        if source.exists():
            assert path.read_bytes() == source.read_bytes()
        else:
            # What a fenced block has in braces is a widget's.
            text = FENCE.sub("", path.read_text())
            assert not re.search(r"\{\{|\{%|copier__|_copier_conf", text), path
    for feature, places in FOLDERS.items():
        there = {(project.folder / place).exists() for place in places}
        assert there == {feature in answers["features"]}, feature
    has_mcp = "mcp" in answers["features"]
    servers = json.loads(project.read(".mcp.json"))["mcpServers"]
    assert servers.keys() == {"context7", "github"} | ({"chatkit"} if has_mcp else set())
    assert bool(list((project.folder / "app").rglob("*mcp_tools.py"))) == (
        has_mcp and "notes" in answers["features"]
    )
    catalogues = {path.parent.parent.name for path in (project.folder / "app").rglob("*.po")}
    assert catalogues == set(answers["languages"])
    assert (project.folder / ".github").exists() == (answers["ci"] == "github")
    is_postgres = answers["database"] == "postgres"
    assert (project.folder / "compose.yaml").exists() == is_postgres
    assert ("database_url" in tomllib.loads(project.read("app/defaults.toml"))) == is_postgres
    assert _unresolved(project) == set()
    groups = tomllib.loads(project.read("pyproject.toml"))["dependency-groups"]
    assert groups.keys() - {"dev"} == {"attachments", "mcp", "rag"} & set(answers["features"])


def test_the_answers_are_kept_and_hold_no_secret(clone: Path, tmp_path: Path) -> None:
    project = render(clone, tmp_path / "project", project_name="Ada's Chat", author_name="Ada")

    answers = yaml.safe_load(project.read(".copier-answers.yml"))

    assert answers["project_name"] == "Ada's Chat"
    assert answers["project_slug"] == "ada-s-chat"
    assert not [name for name in answers if re.search("secret|key|password|token", name)]


@pytest.mark.parametrize(
    "name",
    [
        "Quotes \" and ' and `ticks`",
        "Ünïcödé — 聊天 😀",
        "<b>&amp;</b>",
        "back\\slash",
        "{{ braces }} {% raw %}",
        "$HOME #{x} ${y}",
    ],
)
def test_any_name_makes_valid_files(clone: Path, tmp_path: Path, name: str) -> None:
    project = render(
        clone,
        tmp_path / "project",
        project_name=name,
        project_slug="odd-name",
        description=name,
        author_name=name,
        author_email="ada@example.com",
        features=[],
    )

    metadata = tomllib.loads(project.read("pyproject.toml"))["project"]
    assert metadata["name"] == "odd-name"
    assert metadata["description"] == name
    assert metadata["authors"] == [{"name": name, "email": "ada@example.com"}]
    assert tomllib.loads(project.read("app/defaults.toml"))["project_name"] == name
    assert project.read("README.md").startswith(f"# {name}\n")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"project_name": ""}, "Give the project a name"),
        ({"project_name": "x" * 81}, "at most 80"),
        ({"project_name": "two\nlines"}, "line breaks"),
        ({"project_name": " spaced "}, "spaces"),
        ({"project_slug": "Upper"}, "lower-case"),
        ({"project_slug": "a_b"}, "lower-case"),
        ({"project_slug": "-a"}, "lower-case"),
        ({"project_slug": "a--b"}, "lower-case"),
        ({"project_slug": "a\n"}, "lower-case"),
        ({"project_slug": "../x"}, "lower-case"),
        ({"project_slug": "x" * 51}, "at most 50"),
        ({"project_slug": "openai"}, "Choose another"),
        ({"project_slug": "pytest"}, "Choose another"),
        ({"project_name": "Requests"}, "Choose another"),
        ({"project_name": "packaging"}, "Choose another"),
        ({"project_name": "Lint Imports"}, "Choose another"),
        ({"project_name": "Typing-Extensions"}, "Choose another"),
        ({"description": "x" * 201}, "at most 200"),
        ({"description": "two\nlines"}, "line breaks"),
        ({"author_name": "two\nlines"}, "line breaks"),
        ({"author_email": "nobody"}, "ada@example.com"),
        ({"features": ["unknown"]}, "unknown"),
        ({"ci": "jenkins"}, "ci"),
        ({"provider": "skynet"}, "provider"),
    ],
)
def test_a_wrong_answer_is_refused_in_words(
    clone: Path, tmp_path: Path, answer: dict[str, Any], words: str
) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 (Copier raises ValueErrors of its own)
        render(clone, tmp_path / "project", **answer)

    assert words in str(caught.value)
    assert not (tmp_path / "project").exists()


def test_the_command_line_copies_without_trust_and_says_what_is_next(
    clone: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "copier", "copy", "--defaults", str(clone), "project"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    for line in ("git init", "uv run my-assistant serve", "uv run pytest"):
        assert line in result.stderr + result.stdout
