"""The agents and skills as files: their frontmatter, their size, and what they cost."""

import math
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.texts import ROOT, TEMPLATE

CLAUDE = TEMPLATE / ".claude"
AGENTS = sorted(CLAUDE.glob("agents/*.md"))
SKILLS = sorted(CLAUDE.glob("skills/*/SKILL.md"))
SECTIONS = {
    "chatkit-backend-engineer": [
        *("Sources, in this order", "Workflow", "Rules that are not negotiable", "Standards"),
        *("Ask the user", "What is not yours", "Debugging", "Answer with", "Before you say done"),
    ],
    "chatkit-reviewer": ["Way of working", "Questions", "Traps to look for", "Answer with"],
    "chatkit-server-builder": [
        *("Questions before the first line", "Principles", "How each layer looks"),
        *("Validate before you finish", "Errors and fixes", "You succeed when"),
    ],
    "frontend-chatkit-agent": [
        *("Yours, and not yours", "Embed it", "Token and context: `fetch`"),
        *("When it does not work", "Answer with", "Before you say that it is done"),
    ],
}
MAX_DESCRIPTION, MAX_LINES = 1024, 500
MAX_TOKENS, BYTES_PER_TOKEN = 12_000, 4


def _front(text: Path) -> dict[str, Any]:
    return yaml.safe_load(text.read_text().split("---\n")[1])


def _texts(paths: list[Path]) -> list[Any]:
    return [pytest.param(path, id=str(path.relative_to(TEMPLATE))) for path in paths]


def test_the_agents_are_there() -> None:
    assert {agent.stem for agent in AGENTS} == SECTIONS.keys()


@pytest.mark.parametrize("agent", _texts(AGENTS))
def test_an_agent_has_the_sections_that_were_asked_for(agent: Path) -> None:
    headings = re.findall(r"^## (.*)$", agent.read_text(), re.MULTILINE)

    assert set(SECTIONS[agent.stem]) <= set(headings)


@pytest.mark.parametrize("agent", _texts(AGENTS))
def test_an_agent_has_what_claude_code_reads(agent: Path) -> None:
    front = _front(agent)

    assert front["name"] == agent.stem
    assert "user:" in front["description"], "it needs examples of what a user says"
    assert front["model"] == "inherit"
    assert set(front) <= {"name", "description", "tools", "model", "color", "skills"}
    assert isinstance(front.get("skills", []), list)
    assert {f"skills/{name}" for name in front.get("skills", [])} <= {
        f"skills/{skill.parent.name}" for skill in SKILLS
    }


@pytest.mark.parametrize("agent", _texts(AGENTS))
def test_an_agent_with_the_skills_that_it_loads_costs_a_bounded_number_of_tokens(
    agent: Path,
) -> None:
    assert _tokens(agent) < MAX_TOKENS


def _tokens(agent: Path) -> float:
    """Estimate what the agent costs before it does anything: its text, and what it loads."""
    loaded = [CLAUDE / "skills" / name / "SKILL.md" for name in _front(agent).get("skills", [])]
    return sum(len(text.read_bytes()) for text in [agent, *loaded]) / BYTES_PER_TOKEN


def test_a_reviewer_changes_nothing() -> None:
    tools = _front(CLAUDE / "agents" / "chatkit-reviewer.md")["tools"]

    assert not {"Write", "Edit", "NotebookEdit"} & {tool.strip() for tool in tools.split(",")}


@pytest.mark.parametrize("skill", _texts(SKILLS))
def test_a_skill_is_in_the_open_format(skill: Path) -> None:
    front = _front(skill)

    assert front["name"] == skill.parent.name
    assert 0 < len(front["description"]) <= MAX_DESCRIPTION
    assert front["metadata"]["verified-against"]
    assert len(skill.read_text().splitlines()) < MAX_LINES


def test_the_documents_state_what_each_agent_costs() -> None:
    page = (ROOT / "docs" / "knowledge.md").read_text()
    stated = re.findall(r"^\| `([\w-]+)` \|.*\| ([\d,]+) \|$", page, re.MULTILINE)

    assert dict(stated) == {agent.stem: f"{_hundreds(_tokens(agent)):,}" for agent in AGENTS}
    for agent in AGENTS:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{agent.stem}`"))
        assert re.findall(r"`([\w-]+)`", row)[1:] == _front(agent).get("skills", [])


def _hundreds(tokens: float) -> int:
    return math.ceil(tokens / 100) * 100


@pytest.mark.parametrize("skill", _texts(SKILLS))
def test_a_skill_was_verified_against_the_locked_versions(skill: Path) -> None:
    stated = _front(skill)["metadata"]["verified-against"].split(", ")

    for package, version in (each.split(" ") for each in stated if not each.startswith("Python")):
        locked = metadata.version(package)
        assert f"{locked}.".startswith(f"{version}."), f"{package} is {locked}"
