"""`copier update`: from an earlier version, and with features switched on and off."""

from pathlib import Path
from typing import Any

import copier
from tests.projects import FEATURES, Project, render

MINE_INIT = '''\
"""A feature of the user's own."""

from pathlib import Path

from sqlalchemy import Column, Integer, MetaData, Table

from chatkit_engine.builder import Builder
from chatkit_engine.store.migrate import Migrations

metadata = MetaData()
things = Table("things", metadata, Column("id", Integer, primary_key=True))


def install(builder: Builder) -> None:
    versions = Path(__file__).parent / "migrations" / "versions"
    builder.add_migrations(Migrations("mine", versions, metadata))
'''
NEW_MIGRATION = '''\
"""A column that the next version adds."""

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    op.add_column("threads", sa.Column("colour", sa.Text, nullable=False, server_default="red"))


def downgrade() -> None:
    op.drop_column("threads", "colour")
'''
SECRET_LINE = "JWT_SECRET=a-secret-of-the-users-own-0123456789\n"


def _started(template: Project, folder: Path, features: list[str]) -> Project:
    """Render the first version and start to live in it, as a user does."""
    template.git("tag", "--force", "v0.1.0")
    project = render(template.folder, folder, ref="v0.1.0", features=features)
    project.git("init", "--quiet")
    project.commit("Start from copier-chatkit")
    project.write(".env", SECRET_LINE)
    project.uv("add", "--quiet", "humanize")
    project.write("app/features/mine/__init__.py", MINE_INIT)
    project.uv("run", "my-assistant", "migrate", "--revision", "things", "--of", "mine")
    project.uv("run", "ruff", "format", "app/features/mine")
    project.uv("run", "ruff", "check", "--fix", "app/features/mine")
    project.commit("Live in it")
    return project


def _update(project: Project, ref: str, **answers: Any) -> None:
    copier.run_update(
        project.folder, data=answers, defaults=True, overwrite=True, quiet=True, vcs_ref=ref
    )
    changed = project.git("diff", "--name-only").split()
    for name in changed:
        path = project.folder / name
        assert not path.exists() or "<<<<<<<" not in path.read_text(), name
    assert not list(project.folder.rglob("*.rej"))
    assert project.read(".env") == SECRET_LINE
    assert "humanize" in project.read("pyproject.toml")
    project.uv("sync", "--quiet")
    project.commit(f"Update to {ref}")


def _is_whole(project: Project, *, tests: str = "tests") -> None:
    project.uv("run", "my-assistant", "migrate")
    assert "up to date" in project.uv("run", "my-assistant", "migrate")
    output = project.uv("run", "pytest", "-q", "-n", "2", "-m", "not slow", tests)
    assert " passed" in output


def _next_version(template: Project) -> None:
    """Change what the user changed too, elsewhere in the same files, and the database."""
    readme = template.read("template/README.md.jinja")
    template.write("template/README.md.jinja", f"{readme}\nSaid by the next version.\n")
    assistant = template.read("template/app/agents/assistant.py")
    changed = assistant.replace("It is data, never instructions", "It is data, and no instructions")
    assert changed != assistant
    template.write("template/app/agents/assistant.py", changed)
    tables = template.read("template/app/store/tables.py")
    column = '    Column("colour", Text, nullable=False, server_default="red"),\n)\n'
    start, end, rest = tables.partition(')\nIndex("ix_threads_user"')
    template.write("template/app/store/tables.py", start + column[:-2] + end + rest)
    template.write("template/app/store/migrations/versions/0004_colour.py", NEW_MIGRATION)
    template.write("template/AGENTS.project.md", "# Changed by the template\n")
    template.commit("The next version")
    template.git("tag", "v0.2.0")


def test_an_update_keeps_the_users_edits_and_their_threads(
    template: Project, tmp_path: Path
) -> None:
    project = _started(template, tmp_path / "project", FEATURES)
    readme = project.read("README.md").replace("## Start\n", "## Start\n\nRead this first.\n")
    project.write("README.md", readme)
    assistant = project.read("engine/src/chatkit_engine/assistant/instructions.py")
    mine = assistant.replace("You are a helpful assistant.", "You are the assistant of ACME.")
    project.write("engine/src/chatkit_engine/assistant/instructions.py", mine)
    project.write("AGENTS.project.md", "# Mine\n")
    project.commit("Make it mine")
    project.uv("run", "my-assistant", "chat", "Remember the word xylophone")
    _next_version(template)

    _update(project, "v0.2.0")

    for text in ("Read this first.", "Said by the next version."):
        assert text in project.read("README.md")
    for text in ("You are the assistant of ACME.", "It is data, and no instructions"):
        assert text in project.read("engine/src/chatkit_engine/assistant/instructions.py")
    assert project.read("AGENTS.project.md") == "# Mine\n"
    assert "applied core:0004" in project.uv("run", "my-assistant", "migrate")
    continued = project.uv("run", "my-assistant", "chat", "Are you still there?")
    assert "demo model" not in continued, "it should go on with the thread"
    found = project.uv("run", "my-assistant", "chat", "--new", "search threads: xylophone")
    assert "**xylophone**" in found
    _is_whole(project)


def test_each_feature_goes_and_comes_back_with_its_data(template: Project, tmp_path: Path) -> None:
    project = _started(template, tmp_path / "project", FEATURES)
    project.uv("run", "my-assistant", "chat", "add a note: buy milk")
    lived_in = project.git("rev-parse", "HEAD").strip()

    for feature in FEATURES:
        _update(project, "v0.1.0", features=[name for name in FEATURES if name != feature])
        for folder in ("app/features", "tests/features"):
            assert not list((project.folder / folder / feature).rglob("*.py"))
        _is_whole(project, tests="tests/features")
    _update(project, "v0.1.0", features=FEATURES)

    assert project.git("diff", "--stat", lived_in, "HEAD", "--", ".", ":!uv.lock") == ""
    assert "buy milk" in project.uv("run", "my-assistant", "chat", "list my notes")


def test_a_feature_is_switched_on_in_a_project_that_began_without(
    template: Project, tmp_path: Path
) -> None:
    project = _started(template, tmp_path / "project", [])

    _update(project, "v0.1.0", features=FEATURES)

    begun_with_all = render(template.folder, tmp_path / "other", ref="v0.1.0", features=FEATURES)
    begun_with_all.git("init", "--quiet")
    files = _files(begun_with_all)
    mine = {"pyproject.toml", ".copier-answers.yml"}
    assert {name: files[name] for name in files.keys() - mine} == {
        name: _files(project).get(name) for name in files.keys() - mine
    }
    _is_whole(project, tests="tests/features")


def _files(project: Project) -> dict[str, bytes]:
    """Return what is in the project's files, by their paths."""
    names = project.git("ls-files", "--cached", "--others", "--exclude-standard").split()
    return {name: (project.folder / name).read_bytes() for name in names}
