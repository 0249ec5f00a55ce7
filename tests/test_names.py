"""What the texts name exists: paths, headings, skills, commands, and names of code."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from tests.projects import clean_environment
from tests.texts import ENGINE, FENCE, PYTHONPATH, ROOT, TEMPLATE, TEXTS, all_blocks

CLAUDE = TEMPLATE / ".claude"
# What is written there stands in a patch, not in the project.
EXAMPLE = ROOT / "docs" / "example"
# Documents of a feature are made of these, and stand beside each other.
FORMS = TEMPLATE / ".specify" / "templates"
OURS = [text for text in TEXTS if not text.is_relative_to(EXAMPLE)]
SDKS = (
    *("agents", "asyncpg", "chatkit", "copier", "fastapi", "mcp", "numpy", "openai", "pydantic"),
    *("pytest", "qdrant_client", "sqlalchemy", "starlette", "structlog", "typer", "uvicorn"),
)
FRONT_END = ("@openai", "typescript/lib")

SPAN = re.compile(r"`([^`\n]+)`")
PATH = re.compile(
    r"`((?:app|bench|docs|engine|history|scripts|specs|template|tests|\.claude|\.specify"
    # Folders of the engine, which texts name without `engine/src/chatkit_engine/`.
    r"|assistant|cli|http|models|observability|run|security|settings|store|testing|turns"
    r")/[\w./*-]*[\w*])"
)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
STAGE = re.compile(r"/(sp\.\w+)")
SECTION = re.compile(r"([\w./-]+\.md),? section (\d+(?:\.\d+)*)")
TARGET = re.compile(r"(?:^ {4}|`)make (\w+)", re.MULTILINE)
MODULE = re.compile(r"python -m ((?:app|chatkit_engine)\.[\w.]+\w)")
COMMAND = re.compile(
    r"uv run (?:--no-sync )?(?:my-assistant|SLUG|\{\{ project_slug \}\}) ([^`\n#|]*)"
)
# A command that the text itself adds.
ADDED_COMMAND = re.compile(r"^@commands\.command\(\)\ndef (\w+)\(", re.MULTILINE)
SIBLING = re.compile(
    r"\b(?:chatkit|openai|backend|vector|streaming|function|error|tech|frontend)(?:-[a-z]+)+\b"
)
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
COMPOUND = re.compile(r"\w_\w|[a-z][A-Z]")
ROW_OF_CODE = re.compile(r"^\| wrong \| right \|.*?\n\n", re.MULTILINE | re.DOTALL | re.IGNORECASE)

PACKAGES = {
    *("chatkit-js", "chatkit-python", "chatkit-react", "openai-agents", "openai-agents-python"),
    *("openai-chatkit", "openai-chatkit-advanced-samples", "copier-chatkit"),
}
# Named because they are not there, because they stand for something, or a provider's.
NOT_THERE = {"FileStore", "NAME_tool", "docs_search", "insufficient_quota"}
WRITTEN_BY_A_USER = ("history", "specs")
ADDED_BY_RECIPES = {block.value("new") for block in all_blocks()}


def _prose(text: Path) -> str:
    return FENCE.sub("", text.read_text())


def _params(texts: list[Path]) -> list[Any]:
    return [pytest.param(text, id=str(text.relative_to(ROOT))) for text in texts]


def _places(text: Path, path: str) -> Iterator[Path]:
    """Return where a path may be: beside the text, in a project, its engine or this repository."""
    for folder in (text.parent, TEMPLATE, ENGINE, ROOT):
        yield from (*folder.glob(path), *folder.glob(f"{path}.jinja"))


def _leads_somewhere(text: Path, link: str) -> bool:
    return any((text.parent / name).exists() for name in (link, f"{link}.jinja"))


@pytest.mark.parametrize("text", _params(OURS))
def test_the_paths_and_links_are_there(text: Path) -> None:
    prose = _prose(text)
    named = {path for path in PATH.findall(prose) if not re.search(r"\bN+\b|NAME", path)}
    named = {path for path in named if not path.startswith(WRITTEN_BY_A_USER)}

    missing = {path for path in named - ADDED_BY_RECIPES if not any(_places(text, path))}
    dead = {link for link in LINK.findall(prose) if not _leads_somewhere(text, link)}
    if text.is_relative_to(FORMS):
        dead -= {"spec.md", "plan.md"}

    assert missing | dead == set()


@pytest.mark.parametrize("text", _params(OURS))
def test_the_sections_are_there(text: Path) -> None:
    skills = [*CLAUDE.glob("skills/*"), text.parent]
    for name, number in SECTION.findall(_prose(text)):
        files = [folder / name for folder in skills if (folder / name).exists()]
        heading = re.compile(rf"^#+ {re.escape(number)}\b", re.MULTILINE)
        assert any(heading.search(file.read_text()) for file in files), f"{name}, {number}"


@pytest.mark.parametrize("text", _params(OURS))
def test_the_skills_agents_and_stages_are_there(text: Path) -> None:
    prose = _prose(text)
    skills = {skill.parent.name for skill in CLAUDE.glob("skills/*/SKILL.md")}
    others = {file.stem for file in CLAUDE.rglob("*.md")}

    assert set(SIBLING.findall(SPAN.sub("", prose) + text.name)) <= skills | others | PACKAGES
    assert set(STAGE.findall(prose)) <= others


@pytest.fixture(scope="session")
def cli() -> dict[str, list[str]]:
    """The project's commands, each with its options."""
    script = (
        "import json; from typer.main import get_command;"
        "from chatkit_engine.cli.commands import create_cli;"
        "print('CLI' + json.dumps({name: [option for p in command.params for option in p.opts]"
        " for name, command in get_command(create_cli('app')).commands.items()}))"
    )
    environment = clean_environment() | {"PYTHONPATH": PYTHONPATH}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.partition("CLI")[2])


@pytest.mark.parametrize("text", _params(TEXTS))
def test_the_commands_are_there_and_have_their_options(
    text: Path, cli: dict[str, list[str]]
) -> None:
    content = text.read_text()
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    added = {key: list[str]() for key in ADDED_COMMAND.findall(content)}

    for call in COMMAND.findall(content):
        name, *arguments = call.split()
        options = {word for word in arguments if word.startswith("--")}
        assert name.startswith("-") or options - {"--help"} <= set((cli | added)[name]), call
    assert set(TARGET.findall(content)) <= targets
    for module in MODULE.findall(content):
        names = module.replace(".", "/")
        places = [TEMPLATE / names, ENGINE.parent / names]
        files = [file for place in places for file in (Path(f"{place}.py"), place / "__main__.py")]
        assert any(file.exists() for file in files), module


@pytest.fixture(scope="session")
def known(types: Path) -> set[str]:
    """Every word of this project's code and of the packages that it stands on, in lower case."""
    origins = [find_spec(name) for name in SDKS]
    places = [Path(str(spec.origin)).parent.rglob("*.py") for spec in origins if spec]
    places += [(types / "node_modules" / name).rglob("*.ts") for name in FRONT_END]
    places += [TEMPLATE.rglob("*"), ROOT.glob("*/*.py"), ROOT.glob("*.*")]
    places += [ROOT.glob("tests/typescript/*.json")]
    blocks = [found[0] for text in OURS for found in FENCE.finditer(text.read_text())]
    files = [path for place in places for path in place if path.is_file() and _is_code(path)]
    code = chain(blocks, (path.read_text(errors="ignore") for path in files))
    words = {word.lower() for text in code for word in WORD.findall(text)}
    return words | {path.stem for path in files}


def _is_code(path: Path) -> bool:
    return ".md" not in path.suffixes and path.suffix not in (".pyc", ".mo", ".db")


@pytest.mark.parametrize("text", _params(OURS))
def test_the_names_of_code_are_there(text: Path, known: set[str]) -> None:
    """What a column calls wrong need not be; what a text's code defines is there."""
    content = text.read_text()
    spans = SPAN.findall(ROW_OF_CODE.sub("", FENCE.sub("", content)))
    named = {word for span in spans if "/" not in span for word in WORD.findall(span)}
    compound = {word for word in named if COMPOUND.search(word)} - NOT_THERE

    assert {word for word in compound if word.lower() not in known} == set()
