"""Spec-driven development in a rendered project: beside spec-kit, as commands, over updates."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import copier
import pytest
import yaml
from tests.projects import ROOT, Project, render
from tests.specs import OVERRIDES, TEMPLATE, script, tool

COMMANDS = sorted((TEMPLATE / ".claude/commands").glob("*.md"))
SKILLS = sorted(path.parent for path in (TEMPLATE / ".claude/skills").glob("*/SKILL.md"))
OURS = (".specify", ".claude", "CLAUDE.md", "AGENTS.md", "AGENTS.project.md")
STAGE_NAMES = {"constitution", "specify", "plan", "tasks", "implement", "phr", "adr"}


def _hashes(project: Project) -> dict[str, str]:
    places = [project.folder / name for name in OURS]
    files = [path for place in places for path in (place, *place.rglob("*")) if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("scripts", ["sh", "py"])
def test_spec_kit_overwrites_nothing_and_is_content(project: Project, scripts: str) -> None:
    before = _hashes(project)
    specify = tool("specify")
    options = ("--here", "--force", "--integration", "claude", "--script", scripts)

    project.run(specify, "init", *options, "--ignore-agent-tools", "--non-interactive")
    status = json.loads(project.run(specify, "integration", "status", "--json"))

    assert before.items() <= _hashes(project).items()
    assert status["status"] == "ok"
    assert status["findings"] == []
    assert len(_hashes(project)) > len(before)
    project.run(tool("ruff"), "check", "--no-cache", ".")
    project.run(tool("ruff"), "format", "--no-cache", "--check", ".")


def test_spec_kits_scripts_and_ours_share_templates_and_the_feature_in_work(
    project: Project,
) -> None:
    options = ("--here", "--force", "--integration", "claude", "--script", "py")
    project.run(tool("specify"), "init", *options, "--ignore-agent-tools", "--non-interactive")
    theirs = ".specify/scripts/python/create_new_feature.py"

    made = project.run(sys.executable, theirs, "--json", "Tags on threads")

    assert '"FEATURE_NUM":"001"' in made
    spec = project.read("specs/001-tags-threads/spec.md")
    assert spec == (OVERRIDES / "spec-template.md").read_text()
    ours = script(project.folder, "check", "spec")
    assert "specs/001-tags-threads/spec.md:1: fill in [[title]]" in ours.stdout


def test_agnix_finds_nothing_in_a_project(project: Project) -> None:
    found = project.run(tool("agnix"), ".", "--target", "claude-code", "--strict")

    assert "Found 0 errors, 0 warnings" in found


@pytest.mark.parametrize("skill", SKILLS, ids=lambda path: path.name)
def test_a_skill_is_valid_by_the_open_specification(skill: Path) -> None:
    done = subprocess.run(
        [tool("agentskills"), "validate", str(skill)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_a_command_for_each_stage() -> None:
    assert {path.stem for path in COMMANDS} == {f"sp.{name}" for name in STAGE_NAMES}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda path: path.stem)
def test_a_command_is_short_and_names_only_what_exists(command: Path) -> None:
    text = command.read_text()
    front = yaml.safe_load(text.split("---")[1])

    assert front.keys() <= {"description", "argument-hint", "allowed-tools"}
    assert 0 < len(front["description"]) <= 1024
    assert "$ARGUMENTS" in text
    assert "**Gate:**" in text
    assert len(text.splitlines()) < 60
    for path in re.findall(r"(?<![\w/])\.(?:specify|claude)/[\w./-]+\.\w+", text):
        assert (TEMPLATE / path).is_file(), path
    for path in re.findall(r"`(app/[\w/.]+)`", text):
        assert (TEMPLATE / path).exists(), path
    for name in re.findall(r"/sp\.(\w+)", text):
        assert name in STAGE_NAMES, name
    for skill in re.findall(r"skill `([\w-]+)`", text):
        assert (TEMPLATE / ".claude/skills" / skill).is_dir(), skill


CALL = re.compile(r"\.specify/scripts/sp/(\w+)\.py((?:[^\n`]|\\\n)*)")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda path: path.stem)
def test_a_command_gives_scripts_only_options_that_they_have(command: Path) -> None:
    body = command.read_text().split("---", 2)[2]
    calls = CALL.findall(body)

    assert calls
    for name, arguments in calls:
        has = script(ROOT, name, "--help").stdout
        wanted = set(re.findall(r"(?<=\s)--[a-z-]+", arguments))
        assert wanted <= set(re.findall(r"--[a-z-]+", has)), name


def test_an_update_leaves_the_users_constitution_specs_and_history_alone(
    template: Project, tmp_path: Path
) -> None:
    template.git("tag", "--force", "v0.1.0")
    project = render(template.folder, tmp_path / "project", ref="v0.1.0", features=[])
    project.git("init", "--quiet")
    mine = {
        ".specify/memory/constitution.project.md": "# Mine\n",
        "specs/001-mine/spec.md": "# Spec: mine\n",
        "history/prompts/general/0001-mine.general.prompt.md": "Mine.\n",
        "history/adr/0001-mine.md": "Mine.\n",
    }
    for path, text in mine.items():
        project.write(path, text)
    project.commit("Mine")
    for path in (".specify/memory/constitution.project.md", ".specify/memory/constitution.md"):
        template.write(f"template/{path}", template.read(f"template/{path}") + "\nNext.\n")
    template.commit("The next version")
    template.git("tag", "v0.2.0")

    copier.run_update(project.folder, defaults=True, overwrite=True, quiet=True, vcs_ref="v0.2.0")

    assert {path: project.read(path) for path in mine} == mine
    assert project.read(".specify/memory/constitution.md").endswith("\nNext.\n")


def test_the_scripts_serve_this_repository_through_its_links() -> None:
    command = [sys.executable, ".specify/scripts/sp/lint_history.py", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    where = (
        "import sys; sys.path[:0] = ['.specify/scripts/sp']; import sdd.command as c; print(c.HOME)"
    )
    home = subprocess.run(
        [sys.executable, "-c", where], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert json.loads(done.stdout)["complete"], done.stdout
    assert home.stdout == f"{ROOT}\n"
    assert (ROOT / ".claude/commands/sp.plan.md").is_file()
    assert (ROOT / ".specify/templates/overrides/spec-template.md").is_file()
