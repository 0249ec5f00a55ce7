"""The skills are in the open format. Their code is for test_texts.py."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SKILLS = sorted((ROOT / "template/.claude/skills").glob("*/SKILL.md"))


@pytest.mark.parametrize("skill", SKILLS, ids=lambda path: path.parent.name)
def test_a_skill_is_in_the_open_format_and_names_what_exists(skill: Path) -> None:
    text = skill.read_text()
    front = yaml.safe_load(text.split("---")[1])

    assert front["name"] == skill.parent.name
    assert 0 < len(front["description"]) <= 1024
    assert front["metadata"]["verified-against"]
    assert len(text.splitlines()) < 500
    for path in re.findall(r"`((?:app|tests|\.specify)/[\w./-]+)`", text):
        assert (ROOT / "template" / path).exists(), path
