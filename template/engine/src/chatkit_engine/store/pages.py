"""Keyset pages, ordered by `seq`, which can start after a row that was deleted in the meantime.

A cursor is the id of a page's last row. When rows are deleted, tombstones keep their positions for
a day, so that a client that is paging does not have to start again.
"""

from collections.abc import Sequence
from typing import Any

from chatkit.types import Page
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
    union_all,
)
from sqlalchemy.engine import Row

from chatkit_engine.errors import BadRequest
from chatkit_engine.i18n import _
from chatkit_engine.store.database import database_now
from chatkit_engine.store.tables import tombstones


class PageQueries:
    """The statements for a table's pages, built once.

    `condition` selects the rows and `scope` the tombstones (see the table). Both may have bound
    parameters, whose values `fetch` gets; "user" is always one.
    """

    def __init__(
        self, table: Table, condition: ColumnElement[bool], scope: ColumnElement[str]
    ) -> None:
        page = select(table.c.id, table.c.data).where(condition).limit(bindparam("limit"))
        seq, after = table.c.seq, bindparam("after", type_=Text())
        cursor = bindparam("cursor", type_=seq.type)
        is_tombstone = (
            (tombstones.c.id == after)
            & (tombstones.c.scope == scope)
            & (tombstones.c.user_id == bindparam("user"))
        )
        positions = union_all(
            select(seq).where(condition & (table.c.id == after)),
            select(tombstones.c.position).where(is_tombstone),
        ).subquery()
        self._cursor = select(func.max(positions.c.seq))
        self._first = {"desc": page.order_by(seq.desc()), "asc": page.order_by(seq)}
        self._next = {
            "desc": self._first["desc"].where(seq < cursor),
            "asc": self._first["asc"].where(seq > cursor),
        }

    def fetch(
        self,
        connection: Connection,
        values: dict[str, str],
        after: str | None,
        limit: int,
        order: str,
    ) -> Sequence[Row[Any, Any]]:
        """Return up to `limit + 1` rows after the cursor; the extra one shows that there are more.

        Raises:
            BadRequest: the cursor is unknown.
        """
        order = "desc" if order == "desc" else "asc"
        limits = {**values, "limit": limit + 1}
        if not after:
            return connection.execute(self._first[order], limits).all()
        cursor = connection.scalar(self._cursor, {**values, "after": after})
        if cursor is None:
            raise BadRequest(_("Unknown cursor 'after'. Request the first page without it."))
        return connection.execute(self._next[order], {**limits, "cursor": cursor}).all()


def to_page(data: list[Any], rows: Sequence[Row[Any, Any]], limit: int) -> Page[Any]:
    has_more = len(rows) > limit
    return Page(data=data, has_more=has_more, after=rows[limit - 1].id if has_more else None)


def leave_tombstones(
    connection: Connection, table: Table, scope: ColumnElement[str], which: ColumnElement[bool]
) -> None:
    """Store the positions of rows that are about to be deleted."""
    names = ["user_id", "scope", "id", "position", "created_at"]
    rows = select(table.c.user_id, scope, table.c.id, table.c.seq, database_now()).where(which)
    connection.execute(insert(tombstones).from_select(names, rows))
