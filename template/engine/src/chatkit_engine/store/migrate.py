"""Brings the database up to date: one chain of migrations for the core and one for each feature.

A chain that is absent (a feature that is switched off) leaves its tables as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, func, select

from chatkit_engine.store import tables
from chatkit_engine.store.database import Database

SCRIPTS = Path(__file__).parent / "migrations"
LOCK = 0x636861746B6974


@dataclass(frozen=True)
class Migrations:
    """One chain: its name, its folder of revisions, and the tables that it keeps.

    `dialect` is the one kind of database that has these tables, where not every kind has them.
    """

    name: str
    folder: Path
    metadata: MetaData
    dialect: str | None = None

    @property
    def version_table(self) -> str:
        return f"alembic_version_{self.name}"

    def is_for(self, dialect: str) -> bool:
        return self.dialect in (None, dialect)


CORE = Migrations("core", SCRIPTS / "versions", tables.metadata)


async def upgrade(database: Database, chains: Sequence[Migrations]) -> list[str]:
    """Apply what is pending, all in one transaction, and return its revisions as `chain:id`."""
    return await database.write(_upgrade, chains)


async def pending(database: Database, chains: Sequence[Migrations]) -> list[str]:
    """Return the revisions that are not applied yet, as `chain:id`."""
    return await database.read(_pending, chains)


async def revise(database: Database, chain: Migrations, message: str) -> Path:
    """Write a new revision from the difference between the tables and the database.

    Raises:
        MigrationRefused: the database is not up to date, so that the difference would be too much.
    """
    return await database.read(_revise, chain, message)


def _upgrade(connection: Connection, chains: Sequence[Migrations]) -> list[str]:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
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
    script = ScriptDirectory.from_config(_config(connection, chain))
    options = {"version_table": chain.version_table}
    applied = MigrationContext.configure(connection, opts=options).get_current_revision()
    revisions = [revision.revision for revision in script.walk_revisions()]
    if applied is not None and applied not in revisions:
        raise UnknownRevision(chain, applied)
    ahead = revisions.index(applied) if applied else len(revisions)
    return revisions[:ahead][::-1]


def _revise(connection: Connection, chain: Migrations, message: str) -> Path:
    if chain.is_for(connection.dialect.name) and _unapplied(connection, chain):
        raise MigrationRefused("The database is not up to date. Run `migrate` first.")
    chain.folder.mkdir(parents=True, exist_ok=True)
    config = _config(connection, chain)
    number = len(list(ScriptDirectory.from_config(config).walk_revisions())) + 1
    script = command.revision(config, message, autogenerate=True, rev_id=f"{number:04d}")
    if script is None or isinstance(script, list):
        raise RuntimeError("Alembic wrote no single revision")
    return Path(script.path)


def _config(connection: Connection, chain: Migrations) -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(chain.folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["metadata"] = chain.metadata
    config.attributes["version_table"] = chain.version_table
    return config


class MigrationRefused(RuntimeError):
    """The database cannot be migrated as it is: the message says what to do about it."""


class UnknownRevision(MigrationRefused):
    """The database is ahead of this code: it was migrated by a newer version."""

    def __init__(self, chain: Migrations, revision: str) -> None:
        super().__init__(
            f"The database has revision {revision} of '{chain.name}', which this version of the "
            "code does not know. Run the version that wrote it, or restore a backup."
        )
