"""The hooks of a project, called as its `settings.json` says with what Claude Code sends."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.projects import ROOT, Project, clean_environment, uv
from tests.specs import script


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
    done = subprocess.run(  # noqa: S602 (Claude Code runs it in a shell too)
        hook["command"],
        shell=True,
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
    assert ("must not be r" in said) == (code == 2), said
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
        "cat tests/features/notes/test_notes.py",
        "uv run my-assistant doctor",
        "python -m json.tool < package.json",
    ],
)
def test_the_shell_does_the_rest(project: Project, command: str) -> None:
    project.write(".env", "OPENAI_API_KEY=x\n")

    assert _guard(project, "Bash", command=command, description="Work") == 0


READS = [
    "python - <<X\nprint(open('.env').read())\nX",
    "python3 <<< \"print(open('.env').read(), 1)\"",
    "echo \"print(open('.env').read(), 1)\" | python3",
    "cat $(pwd)/.env",
    'cat "$(pwd)/.env"',
    "cat $PWD/.env",
    "cat .en${X}v",
    "cat .e'n'\"v\"",
    "cat .en\\\nv",
    "cat .{env,x}",
    "cat .en{u..w}",
    "cat {.env,README.md}",
    "F=.env; cat $F",
    "for f in .e?v; do cat $f; done",
    "while read l; do echo $l; done < .env",
    "ls -d .e* | xargs cat",
    "cat /proc/self/environ",
    "cat d*/*.db",
    "head -c 99 *.pem",
    "find . -exec cat {} +",
    "find . -type f | xargs cat",
    "find . -name '.e*' -exec cat {} +",
    "cp -r . /tmp/x",
    "cp -a {root} /tmp/x",
    "cd .. && cp -r {name} /tmp/x",
    "sudo cp -R . /tmp/x",
    "tar czf /tmp/x.tgz .",
    "tar -cf - $PWD | cat",
    "zip -r /tmp/x.zip .",
    "rsync -a ./ /tmp/x",
    "rg -uu KEY",
    "rg --no-ignore --hidden KEY .",
    "rg KEY -g '.e*'",
    "rg KEY --glob='*env'",
    "diff -r . /tmp/x",
    "docker compose config",
    "docker-compose -f compose.yaml config",
    "docker run -v .:/x alpine cat /x/README.md",
    "git add -f . && git show :.gitignore",
    "git grep --no-index KEY",
    "python -m http.server",
    "uv run my-assistant export --user ada",
    "uv run my-assistant token --user ada",
    "my-assistant export --user ada --to /tmp/x",
]
READS_NONE = [
    "uv run my-assistant serve --reload",
    "export LLM_PROVIDER=openai && uv run pytest",
    "rg KEY app",
    "rg -n 'def install' -g '*.py'",
    "cp -r app /tmp/x",
    "tar czf /tmp/x.tgz app tests",
    "tar xzf /tmp/x.tgz",
    "find . -name '*.py' -exec wc -l {} +",
    "find app | head",
    "git add -A && git commit -m 'Change the .env example'",
    "git diff -- app && git log --all --oneline",
    "docker compose up -d",
    "cat *.md {README,CLAUDE}.md",
    "echo ${LLM_PROVIDER:-demo} $HOME",
    "for f in app/tools/*.py; do wc -l $f; done",
    "python - <<X\nprint(1 + 1)\nX",
]
JUDGE = """
import json, sys
from pathlib import Path
from commands_in import secret_in

def judge(command):
    try:
        return bool(secret_in(command, Path(sys.argv[1])))
    except ValueError:
        return True

print(json.dumps([judge(command) for command in json.load(sys.stdin)]))
"""


def test_the_shell_is_followed_to_what_it_reads(project: Project) -> None:
    for secret in (".env", "server.pem", "data/chat.db"):
        project.write(secret, "OPENAI_API_KEY=x\n")
    names = {"{root}": str(project.folder), "{name}": project.folder.name}
    commands = [*READS, *READS_NONE]
    for name, value in names.items():
        commands = [command.replace(name, value) for command in commands]
    done = subprocess.run(
        [sys.executable, "-c", JUDGE, str(project.folder)],
        input=json.dumps(commands),
        env=clean_environment() | {"PYTHONPATH": str(project.folder / ".claude/hooks")},
        capture_output=True,
        text=True,
        check=True,
    )

    judged = dict(zip(commands, json.loads(done.stdout), strict=True))
    assert [command for command in commands[: len(READS)] if not judged[command]] == []
    assert [command for command in commands[len(READS) :] if judged[command]] == []


@pytest.mark.parametrize(
    "command",
    [
        "cat x" + " y" * 100_000,
        "cat " + "{a,b}" * 20,
        "cat x\0y",
        "cat " + " ".join(["/*/*/*/*/*"] * 100),
    ],
    ids=["long", "braces", "no path", "slow"],
)
def test_what_cannot_be_checked_is_refused(project: Project, command: str) -> None:
    assert _guard(project, "Bash", command=command, description="Look") == 2


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
        ("Grep", {"pattern": "KEY", "path": "{root}", "glob": "**/.e*"}, 2),
        ("Grep", {"pattern": "KEY", "path": "{root}", "glob": "*env"}, 2),
        ("Grep", {"pattern": "KEY", "path": "{root}", "glob": "{{.env,x}}"}, 2),
        ("Grep", {"pattern": "KEY", "path": "{root}", "glob": "*"}, 2),
        ("Grep", {"pattern": "KEY", "path": "{root}", "glob": "*.{{py,md}}"}, 0),
        ("Grep", {"pattern": "KEY", "path": "{root}", "glob": "!.env"}, 0),
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
    project.write("tests/conftest.py", "")  # its imports take seconds, and nothing here needs them
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
    test = "def test_two() -> None:\n    assert two() == 2\n"
    test = f'"""Extra."""\n\nfrom app.extra import two\n\n\n{test}'
    right = '"""Extra."""\n\n\ndef two() -> int:\n    return 2\n'
    edit("app/extra.py", right)
    edit("tests/test_extra.py", test)

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
        ("app/tools/extra.py", ["tests/tools/test_extra.py", "tests/tools/test_extra_limits.py"]),
        ("app/extra.py", ["tests/test_extra.py"]),
        ("app/features/notes/rows.py", ["tests/features/notes"]),
        ("app/features/notes/migrations/versions/0001_notes.py", ["tests/features/notes"]),
        ("app/features/__init__.py", []),
        ("app/__init__.py", []),
        ("engine/src/chatkit_engine/i18n.py", ["engine/tests/unit/test_i18n.py"]),
        ("engine/src/chatkit_engine/run/titles.py", ["engine/tests/integration/test_titles.py"]),
        ("engine/src/chatkit_engine/features/rag/search.py", ["engine/tests/features/rag"]),
        ("engine/tests/unit/test_i18n.py", ["engine/tests/unit/test_i18n.py"]),
        ("README.md", []),
    ],
)
def test_tests_mirror_the_code(project: Project, path: str, tests: list[str]) -> None:
    for test in ("tests/test_extra.py", "tests/tools/test_extra.py", "tests/tools/test_extras.py"):
        project.write(test, "")
    project.write("tests/tools/test_extra_limits.py", "")
    look = (
        "import sys; from pathlib import Path; from nearest_tests import nearest_tests;"
        "print(*(test.as_posix() for test in nearest_tests(Path(sys.argv[1]), Path(sys.argv[2]))))"
    )
    hooks = project.folder / ".claude/hooks"
    found = project.run(
        sys.executable, "-c", look, str(project.folder), path, PYTHONPATH=str(hooks)
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
    done = script(workable.folder, "phr", "--stage", "general", *record, "--user", "Ada")
    assert done.returncode == 0, done.stderr
    assert stop() == (0, "")
    assert "edits" not in workable.git("status", "--short")
