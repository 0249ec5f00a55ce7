"""Keyset pages, ordered by `seq`, which can start after a row that was deleted in the meantime.

A cursor is the id of a page's last row. When rows are deleted, tombstones keep their positions for
a day, so that a client that is paging does not have to start again.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from chatkit.types import Page
from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    Table,
    Text,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.engine import Row

from chatkit_engine.errors import BadRequest
from chatkit_engine.i18n import _
from chatkit_engine.store.database import database_now
from chatkit_engine.store.tables import tombstones

# A page ends with the row that reaches it.
MAX_PAGE_BYTES = 2 * 1024 * 1024
ORDERS = ("desc", "asc")
LAST = 2**63 - 1


class PageRows(NamedTuple):
    """The rows of one page, and whether there are more."""

    rows: Sequence[Row[Any]]
    has_more: bool


class PageQueries:
    """The statements for a table's pages, built once.

    `condition` selects the rows and `scope` the tombstones (see the table). Both may have bound
    parameters, whose values `fetch` gets; "user" is always one. `size` is a row's size in bytes.
    """

    def __init__(
        self,
        table: Table,
        condition: ColumnElement[bool],
        scope: ColumnElement[str],
        size: ColumnElement[int],
    ) -> None:
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
        columns = [table.c.id, table.c.data, size.label("size")]
        limit = bindparam("limit", type_=Integer())
        self._first = {
            order: bounded(columns, seq, size, condition, limit, order) for order in ORDERS
        }
        self._next = {
            "desc": bounded(columns, seq, size, condition & (seq < cursor), limit, "desc"),
            "asc": bounded(columns, seq, size, condition & (seq > cursor), limit, "asc"),
        }

    def fetch(
        self,
        connection: Connection,
        values: dict[str, str],
        after: str | None,
        limit: int,
        order: str,
    ) -> PageRows:
        """Return up to `limit` rows after the cursor, and at least one. Large rows make it fewer.

        Raises:
            BadRequest: the cursor is unknown.
        """
        order = "desc" if order == "desc" else "asc"
        limits = {**values, "limit": limit + 1}
        if not after:
            return whole_rows(connection.execute(self._first[order], limits).all(), limit)
        cursor = connection.scalar(self._cursor, {**values, "after": after})
        if cursor is None:
            raise BadRequest(_("Unknown cursor 'after'. Request the first page without it."))
        return whole_rows(
            connection.execute(self._next[order], {**limits, "cursor": cursor}).all(), limit
        )


def bounded(
    columns: Sequence[ColumnElement[Any]],
    seq: ColumnElement[int],
    size: ColumnElement[int],
    condition: ColumnElement[bool],
    limit: ColumnElement[int] | int,
    order: str,
) -> Select[Any]:
    """Select rows until `limit`, or until they have `MAX_PAGE_BYTES`, and one row after those.

    The sizes are summed up first, so that the database does not send rows that do not fit.
    """
    by_seq = seq.desc() if order == "desc" else seq.asc()
    sizes = select(seq.label("seq"), size.label("size")).where(condition)
    sized = sizes.order_by(by_seq).limit(limit).subquery()
    place = sized.c.seq.desc() if order == "desc" else sized.c.seq.asc()
    total = func.sum(sized.c.size).over(order_by=place, rows=(None, 0))
    before = select(sized.c.seq, (total - sized.c.size).label("before")).subquery()
    nearest = func.max(before.c.seq) if order == "desc" else func.min(before.c.seq)
    beyond = select(nearest).where(before.c.before >= MAX_PAGE_BYTES).scalar_subquery()
    if order == "desc":
        fits = seq >= func.coalesce(beyond, literal_column("0"))
    else:
        fits = seq <= func.coalesce(beyond, literal_column(str(LAST)))
    return select(*columns).where(condition, fits).order_by(by_seq).limit(limit)


def whole_rows(rows: Sequence[Row[Any]], limit: int) -> PageRows:
    """Return the rows of a page without the row after it, which shows that there are more."""
    total = 0
    for number, row in enumerate(rows):
        if number == limit or total >= MAX_PAGE_BYTES:
            return PageRows(rows[:number], has_more=True)
        total += row.size
    return PageRows(rows, has_more=False)


def to_page(data: list[Any], page: PageRows) -> Page[Any]:
    after = page.rows[-1].id if page.has_more else None
    return Page(data=data, has_more=page.has_more, after=after)


def leave_tombstones(
    connection: Connection, table: Table, scope: ColumnElement[str], which: ColumnElement[bool]
) -> None:
    """Store the positions of rows that are about to be deleted."""
    names = ["user_id", "scope", "id", "position", "created_at"]
    rows = select(table.c.user_id, scope, table.c.id, table.c.seq, database_now()).where(which)
    connection.execute(insert(tombstones).from_select(names, rows))
