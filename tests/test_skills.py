"""The code in the skills is run: blocks that are right pass, blocks that are wrong fail."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SKILLS = sorted((ROOT / "template/.claude/skills").glob("*/SKILL.md"))
BLOCK = re.compile(r"^```python( wrong)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(match.group(2), match.group(1) is None, id=f"{skill.parent.name}-{number}")
    for skill in SKILLS
    for number, match in enumerate(BLOCK.finditer(skill.read_text()))
]


@pytest.mark.parametrize(("code", "is_right"), BLOCKS)
def test_a_block_of_python_does_what_it_is_said_to(code: str, is_right: bool) -> None:
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "template",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode == 0) == is_right, result.stderr


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
