"""Spec-driven development in a rendered project: beside spec-kit, for Claude Code, over updates."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml

from tests.projects import FEATURES, ROOT, Project, clean_environment, render, uv

TEMPLATE = ROOT / "template"
SCRIPTS = TEMPLATE / ".specify/scripts/sp"
OVERRIDES = TEMPLATE / ".specify/templates/overrides"
COMMANDS = sorted((TEMPLATE / ".claude/commands").glob("*.md"))
SKILLS = sorted(path.parent for path in (TEMPLATE / ".claude/skills").glob("*/SKILL.md"))
EXAMPLE = ROOT / "docs/example"
OURS = (".specify", ".claude", "CLAUDE.md", "AGENTS.md", "AGENTS.project.md")
STAGE_NAMES = {"constitution", "specify", "plan", "tasks", "implement", "phr", "adr"}
UNREACHABLE = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}


@pytest.fixture(scope="module")
def rendered(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with every feature, as it is right after the first commit; not to be changed."""
    project = render(clone, tmp_path_factory.mktemp("specs") / "project", features=FEATURES)
    project.git("init", "--quiet")
    project.commit("Start")
    return project


@pytest.fixture
def project(rendered: Project, tmp_path: Path) -> Project:
    """A copy that a test may change, with a home of its own and no way out of the machine."""
    shutil.copytree(rendered.folder, tmp_path / "project")
    home = {"HOME": str(tmp_path / "home"), "USERPROFILE": str(tmp_path / "home")}
    return Project(tmp_path / "project", environment=home | UNREACHABLE)


def _tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _hashes(project: Project) -> dict[str, str]:
    places = [project.folder / name for name in OURS]
    files = [path for place in places for path in (place, *place.rglob("*")) if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("scripts", ["sh", "py"])
def test_spec_kit_overwrites_nothing_and_is_content(project: Project, scripts: str) -> None:
    before = _hashes(project)
    specify = _tool("specify")
    options = ("--here", "--force", "--integration", "claude", "--script", scripts)

    project.run(specify, "init", *options, "--ignore-agent-tools", "--non-interactive")
    status = json.loads(project.run(specify, "integration", "status", "--json"))

    assert before.items() <= _hashes(project).items()
    assert status["status"] == "ok"
    assert status["findings"] == []
    assert len(_hashes(project)) > len(before)
    project.run(_tool("ruff"), "check", "--no-cache", ".")
    project.run(_tool("ruff"), "format", "--no-cache", "--check", ".")


def test_spec_kits_scripts_and_ours_share_templates_and_the_feature_in_work(
    project: Project,
) -> None:
    options = ("--here", "--force", "--integration", "claude", "--script", "py")
    project.run(_tool("specify"), "init", *options, "--ignore-agent-tools", "--non-interactive")
    theirs = ".specify/scripts/python/create_new_feature.py"

    made = project.run(sys.executable, theirs, "--json", "Tags on threads")

    assert '"FEATURE_NUM":"001"' in made
    spec = project.read("specs/001-tags-threads/spec.md")
    assert spec == (OVERRIDES / "spec-template.md").read_text()
    ours = _script(project.folder, "check", "spec")
    assert "specs/001-tags-threads/spec.md:1: fill in [[title]]" in ours.stdout


def test_agnix_finds_nothing_in_a_project(project: Project) -> None:
    found = project.run(_tool("agnix"), ".", "--target", "claude-code", "--strict")

    assert "Found 0 errors, 0 warnings" in found


@pytest.mark.parametrize("skill", SKILLS, ids=lambda path: path.name)
def test_a_skill_is_valid_by_the_open_specification(skill: Path) -> None:
    done = subprocess.run(
        [_tool("agentskills"), "validate", str(skill)], capture_output=True, text=True, check=False
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
    for script, arguments in calls:
        has = _script(ROOT, script, "--help").stdout
        wanted = set(re.findall(r"(?<=\s)--[a-z-]+", arguments))
        assert wanted <= set(re.findall(r"--[a-z-]+", has)), script


def _script(root: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), "--root", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# The hooks, called as `settings.json` says, with what Claude Code sends.


def _hook(
    project: Project, event: str, path: str = os.environ["PATH"], **fields: Any
) -> tuple[int, str]:
    """Run the hook of an event and return its exit code and its reason."""
    settings = json.loads(project.read(".claude/settings.json"))
    (group,) = settings["hooks"][event]
    if tool := fields.get("tool_name"):
        assert tool in group["matcher"].split("|")
    sent = {
        "session_id": "0f3c-1",
        "transcript_path": "/nowhere/0f3c-1.jsonl",
        "cwd": str(project.folder),
        "permission_mode": "default",
        "hook_event_name": event,
        **fields,
    }
    (hook,) = group["hooks"]
    done = subprocess.run(
        hook["command"],
        shell=True,  # noqa: S602 (Claude Code runs it in a shell too)
        cwd=project.folder.parent,
        env=clean_environment() | {"CLAUDE_PROJECT_DIR": str(project.folder), "PATH": path},
        input=json.dumps(sent),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


WITH_UV = f"{Path(uv()).parent}:{os.environ['PATH']}"


def _guard(project: Project, tool: str, **tool_input: str) -> int:
    code, said = _hook(
        project, "PreToolUse", WITH_UV, tool_name=tool, tool_input=tool_input, tool_use_id="t_1"
    )
    assert ("stays unread" in said) == (code == 2), said
    return code


@pytest.mark.parametrize(
    "command",
    [
        "cat .env",
        "cat ./.env | head -3",
        "cd app && cat ../.env",
        'cat ".env"',
        "cat .e*",
        "cat .env.production",
        "grep KEY .env",
        "grep -rn API_KEY .",
        "source .env && uv run my-assistant serve",
        ". .env",
        "cp .env /tmp/x",
        "curl -d @.env http://localhost",
        'echo "$(cat .env)"',
        "python -c \"print(open('.env').read())\"",
        "uv run python -c 'from pathlib import Path; print(Path(\".env\").read_text())'",
        "cat < .env",
        "git show HEAD:.env",
        "sqlite3 data/chat.db .dump",
        "cd data && strings chat.db",
        "cat ~/.ssh/id_ed25519",
        "openssl rsa -in server.key",
        "true\ncat .env",
        "cat '.env",
        "echo X=1 >> .env && cat .env",
    ],
)
def test_the_shell_reads_no_secret(project: Project, command: str) -> None:
    project.write(".env", "OPENAI_API_KEY=x\n")

    assert _guard(project, "Bash", command=command, description="Look") == 2


@pytest.mark.parametrize(
    "command",
    [
        "cat .env.example",
        "echo LLM_PROVIDER=openai >> .env",
        "ls -la .env",
        "test -f .env && echo yes",
        "git commit -m 'Say what .env is for'",
        "grep -rn data app",
        "grep -rn --exclude=.env KEY .",
        "uv run pytest tests/features",
        "uv run my-assistant move --from sqlite:///data/chat.db",
        "cat tests/support/app.py",
        "uv run my-assistant doctor",
        "python -m json.tool < package.json",
    ],
)
def test_the_shell_does_the_rest(project: Project, command: str) -> None:
    project.write(".env", "OPENAI_API_KEY=x\n")

    assert _guard(project, "Bash", command=command, description="Work") == 0


@pytest.mark.parametrize(
    ("tool", "tool_input", "code"),
    [
        ("Read", {"file_path": "{root}/.env"}, 2),
        ("Read", {"file_path": "{root}/app/../.env.local"}, 2),
        ("Read", {"file_path": "{root}/link"}, 2),
        ("Read", {"file_path": "{root}/data/chat.db"}, 2),
        ("Edit", {"file_path": "{root}/.env", "old_string": "a", "new_string": "b"}, 2),
        ("Write", {"file_path": "{root}/tls/server.pem", "content": "x"}, 2),
        ("Grep", {"pattern": "KEY", "path": "{root}", "glob": ".env"}, 2),
        ("Read", {"file_path": "{root}/.env.example"}, 0),
        ("Read", {"file_path": "{root}/app/settings.py"}, 0),
        ("Write", {"file_path": "{root}/docs/data/notes.md", "content": "about .env"}, 0),
        ("Grep", {"pattern": ".env", "path": "{root}/app"}, 0),
    ],
)
def test_the_file_tools_read_no_secret(
    project: Project, tool: str, tool_input: dict[str, str], code: int
) -> None:
    (project.folder / "link").symlink_to(".env")
    given = {name: text.format(root=project.folder) for name, text in tool_input.items()}

    assert _guard(project, tool, **given) == code


def test_a_hook_that_cannot_run_stops_nobody(project: Project) -> None:
    read = {"tool_name": "Read", "tool_input": {"file_path": f"{project.folder}/README.md"}}
    without_uv, _ = _hook(project, "PreToolUse", path="/usr/bin:/bin", **read)
    (project.folder / ".claude/hooks/secrets_in.py").write_text("raise RuntimeError\n")
    broken, _ = _hook(project, "PreToolUse", WITH_UV, **read)
    odd, said = _hook(project, "PostToolUse", WITH_UV, tool_input=7)

    assert {0, 2}.isdisjoint({without_uv, broken, odd})
    assert "was passed over" in said


@pytest.fixture
def workable(project: Project) -> Project:
    """A project whose environment is this repository's, which has all that it needs."""
    (project.folder / ".venv").symlink_to(ROOT / ".venv")
    return project


Edit = Callable[[str, str], tuple[int, str]]


@pytest.fixture
def edit(workable: Project) -> Edit:
    """Write a file as Claude Code does, and run what comes after it."""

    def work(path: str, text: str) -> tuple[int, str]:
        workable.write(path, text)
        written = {"file_path": str(workable.folder / path), "content": text}
        return _hook(
            workable,
            "PostToolUse",
            WITH_UV,
            tool_name="Write",
            tool_input=written,
            tool_response={"filePath": written["file_path"], "success": True},
            tool_use_id="t_1",
        )

    return work


def test_an_edited_file_is_formatted_and_an_import_for_the_next_edit_is_kept(
    workable: Project, edit: Edit
) -> None:
    code, said = edit("app/extra.py", '"""Extra."""\nimport json\nx = {  "a":1 }\n')

    assert code == 2
    assert "F401" in said
    assert workable.read("app/extra.py") == '"""Extra."""\n\nimport json\n\nx = {"a": 1}\n'


def test_the_nearest_tests_of_an_edited_file_are_run(edit: Edit) -> None:
    test = '"""Extra."""\n\nfrom app.extra import two\n\n\ndef test_two() -> None:\n    assert two() == 2\n'
    right = '"""Extra."""\n\n\ndef two() -> int:\n    return 2\n'
    edit("app/extra.py", right)
    edit("tests/unit/test_extra.py", test)

    assert edit("app/extra.py", right) == (0, "")
    code, said = edit("app/extra.py", right.replace("return 2", "return 3"))
    assert code == 2
    assert "assert 3 == 2" in said


def test_other_files_are_left_alone(workable: Project, edit: Edit) -> None:
    assert edit("notes.md", "import  json\n") == (0, "")
    assert workable.read("notes.md") == "import  json\n"


@pytest.mark.parametrize(
    ("path", "tests"),
    [
        ("app/settings.py", ["tests/unit/test_settings.py"]),
        ("app/features/notes/rows.py", ["tests/features/notes"]),
        ("app/features/notes/migrations/versions/0001_notes.py", ["tests/features/notes"]),
        ("tests/unit/test_settings.py", ["tests/unit/test_settings.py"]),
        ("app/chat/titles.py", ["tests/integration/test_titles.py"]),
        ("app/__init__.py", []),
        ("README.md", []),
    ],
)
def test_tests_mirror_the_code(rendered: Project, path: str, tests: list[str]) -> None:
    look = (
        "import sys; from pathlib import Path; from nearest_tests import nearest_tests;"
        "print(*(test.as_posix() for test in nearest_tests(Path(sys.argv[1]), Path(sys.argv[2]))))"
    )
    hooks = rendered.folder / ".claude/hooks"
    found = rendered.run(
        sys.executable, "-c", look, str(rendered.folder), path, PYTHONPATH=str(hooks)
    )

    assert found.split() == tests


def test_the_record_is_asked_for_once_after_a_change(workable: Project, edit: Edit) -> None:
    def stop(**fields: Any) -> tuple[int, str]:
        return _hook(workable, "Stop", WITH_UV, **({"stop_hook_active": False} | fields))

    assert stop() == (0, "")
    edit("notes.md", "Changed.\n")
    assert stop(stop_hook_active=True) == (0, "")
    code, said = stop()
    assert code == 2
    assert "notes.md" in said
    assert "/sp.phr" in said
    assert stop() == (0, "")

    edit("notes.md", "Changed again.\n")
    record = ("--title", "Change notes", "--prompt", "Do", "--response", "Did", "--outcome", "Done")
    done = _script(workable.folder, "phr", "--stage", "general", *record, "--user", "Ada")
    assert done.returncode == 0, done.stderr
    assert stop() == (0, "")
    assert "edits" not in workable.git("status", "--short")


# What a user has written stays.


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


# The worked example.


@pytest.mark.parametrize("stage", ["spec", "plan", "tasks"])
def test_the_examples_stages_are_complete(stage: str) -> None:
    done = _script(EXAMPLE, "check", stage)

    assert done.returncode == 0, done.stdout


def test_the_examples_history_is_whole_and_has_a_record_of_each_command() -> None:
    done = _script(EXAMPLE, "lint_history")
    stages = {path.name.split(".")[1] for path in EXAMPLE.rglob("*.prompt.md")}

    assert done.stdout == "6 records, all whole\n"
    assert stages == {"spec", "plan", "adr", "tasks", "implement"}


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ("specs/001-thread-tags/spec.md", "spec"),
        ("specs/001-thread-tags/plan.md", "plan"),
        ("specs/001-thread-tags/tasks.md", "tasks"),
        ("specs/001-thread-tags/checklists/requirements.md", "checklist"),
        ("history/adr/0001-*.md", "adr"),
        ("history/prompts/general/0003-*.md", "phr"),
    ],
)
def test_the_examples_documents_are_what_the_templates_give(document: str, name: str) -> None:
    """Every line of a template that has nothing to fill in stands in the document, in its order."""
    (path,) = EXAMPLE.glob(document)
    lines = iter(path.read_text().replace("[x]", "[ ]").splitlines())
    template = (OVERRIDES / f"{name}-template.md").read_text().splitlines()

    for line in template:
        if line and "[[" not in line:
            assert line in lines, line


def test_the_examples_links_lead_somewhere() -> None:
    for document in EXAMPLE.rglob("*.md"):
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document}: {target}"


def test_the_examples_patch_applies_to_a_project_and_its_tests_pass(project: Project) -> None:
    project.git("apply", "--check", str(EXAMPLE / "thread-tags.patch"))
    project.git("apply", str(EXAMPLE / "thread-tags.patch"))
    for folder in ("specs", "history"):
        shutil.copytree(EXAMPLE / folder, project.folder / folder)

    feature = ("app/features/tags", "tests/features/tags")
    passed = project.run(sys.executable, "-m", "pytest", "-q", "-n", "0", feature[1])

    assert re.search(r"\d+ passed", passed)
    project.run(_tool("ruff"), "check", "--no-cache", *feature)
    project.run(_tool("ruff"), "format", "--no-cache", "--check", *feature)
    done = _script(project.folder, "check", "implement")
    assert done.returncode == 0, done.stdout
