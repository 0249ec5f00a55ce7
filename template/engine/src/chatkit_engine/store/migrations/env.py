"""Runs one chain of migrations for Alembic. Each chain has its own version table."""

from typing import Literal, cast

from alembic import context
from sqlalchemy import Connection, Double, MetaData

connection = cast(Connection, context.config.attributes["connection"])
metadata = cast(MetaData, context.config.attributes["metadata"])
version_table = cast(str, context.config.attributes["version_table"])


def _is_ours(name: str | None, kind: str, _: object) -> bool:
    return kind != "table" or name in metadata.tables


def _render(kind: str, item: object, _: object) -> str | Literal[False]:
    """Write `sa.Double` without a call, because its type is only partially known to pyright."""
    return "sa.Double" if kind == "type" and isinstance(item, Double) else False


context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=version_table,
    include_name=_is_ours,
    render_item=_render,
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
