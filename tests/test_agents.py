"""The agents and skills as files: their frontmatter, their size, and what they cost."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.texts import TEMPLATE

CLAUDE = TEMPLATE / ".claude"
AGENTS = sorted(CLAUDE.glob("agents/*.md"))
SKILLS = sorted(CLAUDE.glob("skills/*/SKILL.md"))
EXPECTED_AGENTS = {
    "chatkit-backend-engineer",
    "chatkit-reviewer",
    "chatkit-server-builder",
    "frontend-chatkit-agent",
}
MAX_DESCRIPTION, MAX_LINES = 1024, 500
MAX_TOKENS, BYTES_PER_TOKEN = 12_000, 4


def _front(text: Path) -> dict[str, Any]:
    return yaml.safe_load(text.read_text().split("---\n")[1])


def _texts(paths: list[Path]) -> list[Any]:
    return [pytest.param(path, id=str(path.relative_to(TEMPLATE))) for path in paths]


def test_the_agents_are_there() -> None:
    assert {agent.stem for agent in AGENTS} == EXPECTED_AGENTS


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
    loaded = [CLAUDE / "skills" / name / "SKILL.md" for name in _front(agent).get("skills", [])]

    size = sum(len(text.read_bytes()) for text in [agent, *loaded])

    assert size / BYTES_PER_TOKEN < MAX_TOKENS


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
