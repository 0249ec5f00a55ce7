"""What the models have used: kept for each turn, summed for a thread or a user.

Cached tokens are a part of the input's, reasoning tokens of the output's. A cost is in USD; it is
None where a model's price was not known.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Connection, case, func, insert, select

from chatkit_engine.store.tables import usage

COUNTS = ("requests", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
Kind = Literal["turn", "title"]


@dataclass(frozen=True)
class Usage:
    """What one model has used for one turn, or for another task."""

    model: str
    requests: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost: float | None


class Counts(BaseModel):
    requests: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost: float | None


class Amount(Counts):
    """What was used in all. `unpriced_requests` are those whose cost is not known."""

    unpriced_requests: int


class ModelAmount(Amount):
    model: str


class Entry(Counts):
    """What one model has used for one turn, or for another task."""

    turn_id: str | None
    kind: str
    model: str
    created_at: datetime


def record(
    connection: Connection,
    user_id: str,
    thread_id: str | None,
    turn_id: str | None,
    kind: Kind,
    used: Usage,
) -> None:
    """Keep what was used, for good: it stays when its thread is deleted."""
    values = {"user_id": user_id, "thread_id": thread_id, "turn_id": turn_id, "kind": kind}
    connection.execute(_RECORD, values | asdict(used))


def of_turn(connection: Connection, user_id: str, thread_id: str, turn_id: str) -> Usage | None:
    """Return what the user's turn itself has used."""
    columns = [usage.c[field.name] for field in fields(Usage)]
    mine = (usage.c.user_id == user_id) & (usage.c.thread_id == thread_id)
    mine &= (usage.c.turn_id == turn_id) & (usage.c.kind == "turn")
    row = connection.execute(select(*columns).where(mine)).mappings().first()
    return Usage(**row) if row else None


def summary(
    connection: Connection,
    user_id: str,
    thread_id: str | None = None,
    since: float | None = None,
) -> list[ModelAmount]:
    """Return what the user has used of each model, in a thread or anywhere, since a time (UTC)."""
    mine = usage.c.user_id == user_id
    if thread_id is not None:
        mine &= usage.c.thread_id == thread_id
    if since is not None:
        mine &= usage.c.created_at >= since
    rows = connection.execute(_SUMMARY.where(mine)).mappings()
    return [_amount(row) for row in rows]


def newest(connection: Connection, user_id: str, thread_id: str, limit: int) -> list[Entry]:
    """Return what was used in the user's thread, newest first."""
    mine: ColumnElement[bool] = (usage.c.user_id == user_id) & (usage.c.thread_id == thread_id)
    rows = connection.execute(
        select(usage).where(mine).order_by(usage.c.seq.desc()).limit(limit)
    ).mappings()
    return [Entry.model_validate(dict(row)) for row in rows]


def total(amounts: Iterable[Amount]) -> Amount:
    """Return the sum; its cost is None as soon as a part of it is not known."""
    found = list(amounts)
    counted = {name: sum(getattr(each, name) for each in found) for name in _SUMMED}
    costs = [each.cost for each in found if each.cost is not None]
    return Amount(**counted, cost=sum(costs) if len(costs) == len(found) else None)


def _amount(row: Mapping[Any, Any]) -> ModelAmount:
    cost = None if row["unpriced_requests"] else row["cost"]
    return ModelAmount.model_validate({**row, "cost": cost})


_SUMMED = (*COUNTS, "unpriced_requests")
_RECORD = insert(usage)
_unpriced = case((usage.c.cost.is_(None), usage.c.requests), else_=0)

_SUMMARY = (
    select(
        usage.c.model,
        *(func.sum(usage.c[name]).label(name) for name in COUNTS),
        func.sum(usage.c.cost).label("cost"),
        func.sum(_unpriced).label("unpriced_requests"),
    )
    .group_by(usage.c.model)
    .order_by(usage.c.model)
)
