"""`copier update` of a project that is lived in: a new version, and features off and on again."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import copier
from tests.projects import FEATURES, Project, render

FEATURE = '''\
"""A feature of the user's own."""

from pathlib import Path

from chatkit_engine import Builder, Migrations
from sqlalchemy import Column, Integer, MetaData, Table

metadata = MetaData()
things = Table("things", metadata, Column("id", Integer, primary_key=True))


def install(builder: Builder) -> None:
    versions = Path(__file__).parent / "migrations" / "versions"
    builder.add_migrations(Migrations("mine", versions, metadata))
'''
TOOL = '''\
"""Tells the weather."""

from agents import function_tool


@function_tool
def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"Sunny in {city}"
'''
AGENT = '''\
"""The poet."""

from agents import Agent
from chatkit_engine import AgentFactory, TurnContext, brief


def create(factory: AgentFactory) -> Agent[TurnContext]:
    return factory.agent("Poet", brief("You write poems."), handoff_description="writes poems")
'''
TEST = '''\
"""A test of the user's own."""

from app.tools.weather import weather


def test_the_weather_is_a_tool() -> None:
    assert weather.name == "weather"
'''
NEW_MIGRATION = '''\
"""A column that the next version adds."""

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    op.add_column("threads", sa.Column("colour", sa.Text, nullable=False, server_default="red"))


def downgrade() -> None:
    op.drop_column("threads", "colour")
'''
SECRET_LINE = "JWT_SECRET=a-secret-of-the-users-own-0123456789\n"
ENGINE = "engine/src/chatkit_engine"
WRITTEN = {
    ".env": SECRET_LINE,
    "app/tools/weather.py": TOOL,
    "app/agents/poet.py": AGENT,
    "app/features/mine/__init__.py": '"""Mine."""\n',
    "app/features/mine/feature.py": FEATURE,
    "tests/test_mine.py": TEST,
    "AGENTS.project.md": "# Mine\n",
    "docs/runbook.md": "# What to do at night\n",
}
DELETED = "app/tools/open_page.py"
# File, what the user replaces in it, and by what.
EDITS = [
    ("app/assistant.py", "You are a helpful assistant.", "You are the assistant of ACME."),
    (
        "app/assistant.py",
        "    builder.set_instructions(INSTRUCTIONS)\n",
        "    builder.set_instructions(INSTRUCTIONS)\n    builder.add_output_guardrail(no_prices)\n",
    ),
    (
        "app/assistant.py",
        "\n\ndef install(",
        (
            "\n\ndef no_prices(context: TurnContext, text: str) -> str | None:\n"
            '    return "No prices here." if "EUR" in text else None\n\n\ndef install('
        ),
    ),
    ("app/assistant.py", "import Builder\n", "import Builder, TurnContext\n"),
    ("app/tools/current_time.py", "Tell the current date", "Tell ACME's current date"),
    ("app/agents/writer.py", "You are the writer.", "You are ACME's writer."),
    ("app/widgets/plan.py", " min)", " minutes)"),
    ("app/features/notes/routes.py", '"""Keep a note."""', '"""Keep a note of ACME."""'),
    ("app/settings.py", "    model_config", '    acme_region: str = "eu"\n\n    model_config'),
    (".gitignore", "data/\n", "data/\n/acme/\n"),
    (".github/workflows/ci.yml", "      - run: uv run pytest\n", "      - run: uv run pytest -x\n"),
    (
        ".claude/settings.json",
        '      "Bash(uv run pyright)",\n',
        '      "Bash(uv run pyright *)",\n',
    ),
    ("app/defaults.toml", "default_provider", "# ACME\ndefault_provider"),
]
# A feature that is switched off takes its files with it, and the user's edits in them.
OF_A_FEATURE = {"app/agents/writer.py", "app/features/notes/routes.py"}
APPENDED = {
    "README.md": "\nACME's own words.\n",
    ".env.example": "\n# ACME_REGION=eu\n",
    "docs/development.md": "\nACME's own way to develop.\n",
    "tests/test_assistant.py": "\n\n# ACME's tests of the prompt go here.\n",
}
# The user's edits in the engine: one in a line that the next version changes, one elsewhere.
ENGINE_EDITS = [
    (f"{ENGINE}/builder.py", "Add routes.", "Serve ACME's routes."),
    (f"{ENGINE}/observability/health.py", "CHECK_SECONDS = 5", "CHECK_SECONDS = 6"),
]
# What the next version changes: near the user's edits, and in the line of the first engine edit.
CHANGES = [
    ("app/assistant.py", '"""What the assistant is told', '"""What the model is told'),
    ("app/widgets/plan.py", "This plan has no such step.", "This plan does not have that step."),
    (".github/workflows/ci.yml", "timeout-minutes: 30", "timeout-minutes: 31"),
    (
        ".claude/settings.json",
        '"Edit(./data/**)"',
        '"Edit(./data/**)",\n      "Edit(./secrets/**)"',
    ),
    (f"{ENGINE}/builder.py", "Add routes.", "Serve these routes."),
]


def _edit(project: Project, file: str, old: str, new: str) -> None:
    text = project.read(file)
    assert old in text, f"{file} has no {old!r}"
    project.write(file, text.replace(old, new, 1))


def _started(template: Project, folder: Path) -> Project:
    """Render the first version with all features, and live in it as a user does."""
    template.git("tag", "--force", "v0.1.0")
    project = render(template.folder, folder, ref="v0.1.0", features=FEATURES)
    project.git("init", "--quiet")
    project.commit("Start from copier-chatkit")
    for file, text in WRITTEN.items():
        project.write(file, text)
    for edit in (*EDITS, *ENGINE_EDITS):
        _edit(project, *edit)
    for file, text in APPENDED.items():
        project.write(file, project.read(file) + text)
    (project.folder / DELETED).unlink()
    project.uv("add", "--quiet", "humanize")
    project.uv(
        "run", "--no-sync", "my-assistant", "migrate", "--revision", "things", "--of", "mine"
    )
    project.uv_run("my-assistant", "chat", "Remember the word xylophone")
    project.uv_run("my-assistant", "chat", "add a note: buy milk")
    project.commit("Live in it")
    return project


def _next_version(template: Project) -> None:
    readme = template.read("template/README.md.jinja")
    template.write("template/README.md.jinja", readme.replace("\n", "\nSaid by 0.2.0.\n", 1))
    for file, old, new in CHANGES:
        _edit(template, f"template/{file}", old, new)
    tables = template.read(f"template/{ENGINE}/store/tables.py")
    column = '    Column("colour", Text, nullable=False, server_default="red"),\n'
    changed = tables.replace(')\nIndex("ix_threads_user"', f'{column})\nIndex("ix_threads_user"')
    assert changed != tables
    template.write(f"template/{ENGINE}/store/tables.py", changed)
    template.write(f"template/{ENGINE}/store/migrations/versions/0005_colour.py", NEW_MIGRATION)
    template.write("template/AGENTS.project.md", "# Changed by the template\n")
    template.commit("The next version")
    template.git("tag", "v0.2.0")


def _update(project: Project, ref: str, **answers: Any) -> set[str]:
    """Update, and return the files with conflicts."""
    copier.run_update(
        project.folder, data=answers, defaults=True, overwrite=True, quiet=True, vcs_ref=ref
    )
    assert not list(project.folder.rglob("*.rej"))
    changed = [project.folder / name for name in project.git("diff", "--name-only").split()]
    texts = {path: path.read_text() for path in changed if path.suffix != ".mo" and path.exists()}
    found = {path for path, text in texts.items() if "<<<<<<< " in text}
    return {str(path.relative_to(project.folder)) for path in found}


def _has_all_of_the_users(project: Project, but_for: Collection[str] = ()) -> None:
    for file, text in WRITTEN.items():
        assert project.read(file) == text, file
    for file, _, new in EDITS:
        assert file in but_for or new in project.read(file), file
    for file, text in APPENDED.items():
        assert text in project.read(file), file
    assert not (project.folder / DELETED).exists()
    assert "humanize" in project.read("pyproject.toml")


def test_a_new_version_loses_nothing_of_the_users_and_names_the_one_conflict_in_the_engine(
    template: Project, workshop: Path
) -> None:
    project = _started(template, workshop / "updated")
    _next_version(template)

    conflicts = _update(project, "v0.2.0")

    assert conflicts == {f"{ENGINE}/builder.py"}
    _has_all_of_the_users(project)
    for file, _, new in CHANGES[:-1]:
        assert new in project.read(file), file
    assert "Said by 0.2.0." in project.read("README.md")
    assert "CHECK_SECONDS = 6" in project.read(f"{ENGINE}/observability/health.py")
    builder = project.read(f"{ENGINE}/builder.py")
    both = re.compile(r"<<<<<<< .*?\n(.*?)=======\n(.*?)>>>>>>> .*?\n", re.DOTALL)
    ours, theirs = both.findall(builder)[0]
    assert "Serve ACME's routes." in ours
    assert "Serve these routes." in theirs
    project.write(f"{ENGINE}/builder.py", both.sub(r"\1", builder))
    project.uv("sync", "--quiet")
    project.commit("Update to 0.2.0")
    assert f"{ENGINE[7:]}/builder.py" in project.uv_run("my-assistant", "doctor")
    _lives_on(project)

    lived_in = project.git("rev-parse", "HEAD").strip()
    for features in ([], FEATURES):
        assert _update(project, "v0.2.0", features=features) == set()
        project.uv("lock", "--quiet")
        project.commit(f"Features: {features}")
        assert "up to date" in project.uv_run("my-assistant", "migrate")
    changed = project.git("diff", "--name-only", lived_in, "HEAD", "--", ".", ":!uv.lock")
    assert set(changed.split()) == OF_A_FEATURE
    _has_all_of_the_users(project, but_for=OF_A_FEATURE)
    assert "buy milk" in project.uv_run("my-assistant", "chat", "list my notes")


def _lives_on(project: Project) -> None:
    """The threads go on, the search finds them, and the user's tests are green."""
    assert "applied core:0005" in project.uv_run("my-assistant", "migrate")
    continued = project.uv_run("my-assistant", "chat", "Are you still there?")
    assert "demo model" not in continued, "it should go on with the thread"
    found = project.uv(
        "run", "--no-sync", "my-assistant", "chat", "--new", "search threads: xylophone"
    )
    assert "**xylophone**" in found
    tests = ("tests/test_mine.py", "tests/features/notes")
    assert " passed" in project.uv_run("pytest", "-q", *tests)


def test_a_project_from_a_relative_path_is_warned_and_updated_where_it_was_copied(
    template: Project,
) -> None:
    template.git("tag", "--force", "v0.1.0")
    folder = Project(template.folder.parent)
    copy = ("copier", "copy", "--defaults", "--vcs-ref", "v0.1.0")
    warned = folder.run(*copy, template.folder.name, "mine")
    silent = folder.run(*copy, str(template.folder), "other")
    project = Project(folder.folder / "mine")
    project.git("init", "--quiet")
    project.commit("Start from copier-chatkit")
    _edit(template, "template/README.md.jinja", "\n", "\nSaid by 0.2.0.\n")
    template.commit("The next version")
    template.git("tag", "--force", "v0.2.0")

    told = folder.run("copier", "update", "--defaults", "--vcs-ref", "v0.2.0", "mine")

    assert 'copier update "mine"' in warned
    assert "WARNING" not in silent
    assert "uv sync" in warned.partition("git add")[0], "uv.lock is in the first commit"
    assert "git diff --check" in told
    assert "up to date" not in told
    assert "Said by 0.2.0." in project.read("README.md")
