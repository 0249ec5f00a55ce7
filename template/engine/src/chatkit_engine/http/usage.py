"""What the user's turns have used: tokens, and their cost in USD where the prices are known."""

from datetime import UTC, date, datetime, time

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from chatkit_engine.http.dependencies import CurrentUser, Db, Id, Limit
from chatkit_engine.store import usage
from chatkit_engine.store.threads import load_thread
from chatkit_engine.store.usage import ModelUsage, Usage, UsageEntry, UsageTotal

router = APIRouter(prefix="/api", tags=["usage"])


class TurnUsage(BaseModel):
    """What one turn has used. Cached tokens are a part of the input's."""

    model_config = ConfigDict(from_attributes=True)

    requests: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: float | None


class UserUsage(BaseModel):
    total: UsageTotal
    models: list[ModelUsage]


class ThreadUsage(BaseModel):
    total: UsageTotal
    turns: list[UsageEntry]


@router.get("/usage")
async def user_usage(user: CurrentUser, database: Db, since: date | None = None) -> UserUsage:
    """Sum up what the user has used, by model, since the start of a day in UTC."""
    models = await database.read(usage.summary, user.id, since=since and start_of(since))
    return UserUsage(total=usage.total(models), models=models)


@router.get("/threads/{thread_id}/usage")
async def thread_usage(
    thread_id: Id, user: CurrentUser, database: Db, limit: Limit = 20
) -> ThreadUsage:
    """List what a thread's turns have used, newest first, and the total of them all."""
    return await database.read(_of_thread, user.id, thread_id, limit)


def turn_usage(used: Usage | None) -> TurnUsage | None:
    return TurnUsage.model_validate(used) if used else None


def start_of(day: date) -> float:
    """Return when a day begins in UTC, in seconds since the epoch."""
    return datetime.combine(day, time.min, UTC).timestamp()


def _of_thread(connection: Connection, user_id: str, thread_id: str, limit: int) -> ThreadUsage:
    load_thread(connection, thread_id, user_id)
    total = usage.total(usage.summary(connection, user_id, thread_id))
    return ThreadUsage(total=total, turns=usage.newest(connection, user_id, thread_id, limit))
