"""Brings the database up to date: one chain of migrations for the core and one for each feature.

The chain of a feature that is switched off is not run, and its tables stay as they are.

Every start and every readiness probe asks whether something is pending. Alembic would read all of
its scripts to answer that, so the revisions are read here and cached; Alembic is imported only when
there is something to apply or to write.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, MetaData, Text, column, func, inspect, select, table

from chatkit_engine.store import tables
from chatkit_engine.store.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

SCRIPTS = Path(__file__).parent / "migrations"
FORMAT = {
    "hooks": "ruff",
    "ruff.type": "module",
    "ruff.module": "ruff",
    "ruff.options": "format --quiet REVISION_SCRIPT_FILENAME",
}
ADVISORY_LOCK = 0x636861746B6974


@dataclass(frozen=True)
class Migrations:
    """A chain of migrations: its name, the folder of its revisions, and the tables it manages.

    Set `dialect` if the tables exist on one kind of database only, for example "postgresql".
    """

    name: str
    folder: Path
    metadata: MetaData
    dialect: str | None = None

    @property
    def version_table(self) -> str:
        return f"alembic_version_{self.name}"

    @property
    def revisions(self) -> list[str]:
        """The ids of the chain's revisions, oldest first.

        Raises:
            MigrationRefused: the revisions branch, or one in between is missing.
        """
        names = sorted(path.name for path in self.folder.glob("[!_.]*.py"))
        return list(_revisions(self.folder, tuple(names)))

    def is_for(self, dialect: str) -> bool:
        return self.dialect in (None, dialect)


CORE = Migrations("core", SCRIPTS / "versions", tables.metadata)


class MigrationRefused(RuntimeError):
    """The database cannot be migrated as it is. The message says what to do about it."""


class UnknownRevision(MigrationRefused):
    """The database was migrated by a newer version of the code."""

    def __init__(self, chain: Migrations, revision: str) -> None:
        super().__init__(
            f"The database has revision {revision} of '{chain.name}', which this version of the "
            "code does not know. Run the version that wrote it, or restore a backup."
        )


async def upgrade(database: Database, chains: Sequence[Migrations]) -> list[str]:
    """Apply what is pending, all in one transaction, and return its revisions as `chain:id`."""
    if not await pending(database, chains):
        return []
    return await database.write(_upgrade, chains)


async def pending(database: Database, chains: Sequence[Migrations]) -> list[str]:
    """Return the revisions that are not applied yet, as `chain:id`.

    Raises:
        UnknownRevision: the database is ahead of this code.
    """
    return await database.read(_pending, chains)


async def revise(database: Database, chain: Migrations, message: str) -> Path:
    """Write a new revision from the difference between the tables and the database.

    Raises:
        MigrationRefused: the database is not up to date, so the difference would be too large.
    """
    return await database.write(_revise, chain, message)


def _upgrade(connection: Connection, chains: Sequence[Migrations]) -> list[str]:
    from alembic import command  # noqa: PLC0415

    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
    # Another process may have applied them while this one waited for the lock.
    waiting = _pending(connection, chains)
    for chain in chains:
        if any(revision.startswith(f"{chain.name}:") for revision in waiting):
            command.upgrade(_config(connection, chain), "head")
    return waiting


def _pending(connection: Connection, chains: Sequence[Migrations]) -> list[str]:
    return [
        f"{chain.name}:{revision}"
        for chain in chains
        if chain.is_for(connection.dialect.name)
        for revision in _unapplied(connection, chain)
    ]


def _unapplied(connection: Connection, chain: Migrations) -> list[str]:
    revisions = chain.revisions
    if not inspect(connection).has_table(chain.version_table):
        return revisions
    applied = connection.scalar(
        select(column("version_num", Text())).select_from(table(chain.version_table))
    )
    if applied is None:
        return revisions
    if applied not in revisions:
        raise UnknownRevision(chain, applied)
    return revisions[revisions.index(applied) + 1 :]


@cache
def _revisions(folder: Path, file_names: Sequence[str]) -> Sequence[str]:
    """Return the revisions of a folder, oldest first. The file names are the cache's key."""
    scripts = [_constants(folder / name) for name in file_names]
    following = {
        script.get("down_revision"): script["revision"]
        for script in scripts
        if "revision" in script
    }
    ordered: list[str] = []
    while (newest := ordered[-1] if ordered else None) in following:
        ordered.append(following[newest])
    if len(ordered) != len(scripts):
        raise MigrationRefused(
            f"The migrations in {folder} are not one chain. Set each one's `down_revision` to the "
            "revision before it."
        )
    return ordered


def _constants(script: Path) -> dict[str, Any]:
    """Return the script's constants without running it, because that would import Alembic."""
    return {
        target.id: node.value.value
        for node in ast.parse(script.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }


def _revise(connection: Connection, chain: Migrations, message: str) -> Path:
    from alembic import command  # noqa: PLC0415

    if chain.is_for(connection.dialect.name) and _unapplied(connection, chain):
        raise MigrationRefused("The database is not up to date. Run `migrate` first.")
    chain.folder.mkdir(parents=True, exist_ok=True)
    revision_id = f"{len(chain.revisions) + 1:04d}"
    config = _config(connection, chain)
    script = command.revision(config, message, autogenerate=True, rev_id=revision_id)
    if script is None or isinstance(script, list):
        raise RuntimeError("Alembic did not write exactly one revision")
    return Path(script.path)


def _config(connection: Connection, chain: Migrations) -> "Config":
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    # ConfigParser expands %; a path may contain one.
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(chain.folder).replace("%", "%%"))
    if find_spec("ruff"):
        # The project's own linter would otherwise refuse what Alembic writes.
        for option, value in FORMAT.items():
            config.set_section_option("post_write_hooks", option, value)
    config.attributes["connection"] = connection
    config.attributes["metadata"] = chain.metadata
    config.attributes["version_table"] = chain.version_table
    return config
