"""Runs one component's migrations: the core's or a feature's, each with its own version table."""

from typing import Literal, cast

from alembic import context
from sqlalchemy import Connection, Double, MetaData

connection = cast(Connection, context.config.attributes["connection"])
metadata = cast(MetaData, context.config.attributes["metadata"])
version_table = cast(str, context.config.attributes["version_table"])


def _is_ours(name: str | None, kind: str, _: object) -> bool:
    return kind != "table" or name in metadata.tables


def _render(kind: str, item: object, _: object) -> str | Literal[False]:
    """Write the type itself: pyright knows only a part of what calling it makes."""
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
