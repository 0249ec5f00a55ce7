"""Token usage: recorded for each turn, summed for a thread or a user.

Cached tokens are included in the input tokens, and reasoning tokens in the output tokens. A cost is
in USD; it is None if the model's price was unknown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Connection, case, func, insert, select

from chatkit_engine.store.tables import usage

COUNTS = ("requests", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
SUMMED = (*COUNTS, "unpriced_requests")

Kind = Literal["turn", "title"]

_unpriced = case((usage.c.cost.is_(None), usage.c.requests), else_=0)
_RECORD = insert(usage)
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


@dataclass(frozen=True)
class Usage:
    """The usage of one model for one turn, or for a title."""

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


class UsageTotal(Counts):
    """A sum. `unpriced_requests` counts the requests whose cost is unknown."""

    unpriced_requests: int


class ModelUsage(UsageTotal):
    model: str


class UsageEntry(Counts):
    """The usage of one model for one turn, or for a title."""

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
    """Record usage. It stays when its thread is deleted, and is deleted with its user."""
    values = {"user_id": user_id, "thread_id": thread_id, "turn_id": turn_id, "kind": kind}
    connection.execute(_RECORD, values | asdict(used))


def for_turn(connection: Connection, user_id: str, thread_id: str, turn_id: str) -> Usage | None:
    """Return the usage of a turn, without its title."""
    columns = [usage.c[field.name] for field in fields(Usage)]
    condition = (usage.c.user_id == user_id) & (usage.c.thread_id == thread_id)
    condition &= (usage.c.turn_id == turn_id) & (usage.c.kind == "turn")
    row = connection.execute(select(*columns).where(condition)).mappings().first()
    return Usage(**row) if row else None


def summary(
    connection: Connection,
    user_id: str,
    thread_id: str | None = None,
    since: float | None = None,
) -> list[ModelUsage]:
    """Return the user's usage by model.

    `thread_id` limits it to one thread, and `since` (seconds since the epoch) to newer usage.
    """
    condition = usage.c.user_id == user_id
    if thread_id is not None:
        condition &= usage.c.thread_id == thread_id
    if since is not None:
        condition &= usage.c.created_at >= since
    rows = connection.execute(_SUMMARY.where(condition)).mappings()
    return [_model_usage(row) for row in rows]


def newest(connection: Connection, user_id: str, thread_id: str, limit: int) -> list[UsageEntry]:
    """Return the usage in a thread, newest first."""
    in_thread: ColumnElement[bool] = (usage.c.user_id == user_id) & (usage.c.thread_id == thread_id)
    rows = connection.execute(
        select(usage).where(in_thread).order_by(usage.c.seq.desc()).limit(limit)
    ).mappings()
    return [UsageEntry.model_validate(dict(row)) for row in rows]


def total(parts: Iterable[UsageTotal]) -> UsageTotal:
    """Return the sum. Its cost is None if the cost of any part is unknown."""
    parts = list(parts)
    counts = {name: sum(getattr(part, name) for part in parts) for name in SUMMED}
    costs = [part.cost for part in parts if part.cost is not None]
    return UsageTotal(**counts, cost=sum(costs) if len(costs) == len(parts) else None)


def _model_usage(row: Mapping[Any, Any]) -> ModelUsage:
    # SQL's sum() ignores nulls, so it would leave out the requests of unknown cost.
    cost = None if row["unpriced_requests"] else row["cost"]
    return ModelUsage.model_validate({**row, "cost": cost})
