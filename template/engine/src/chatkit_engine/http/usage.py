"""The token usage of the user's turns, and its cost in USD if the prices are known."""

from datetime import UTC, date, datetime, time

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from chatkit_engine.http.dependencies import CurrentUser, Db, FairRead, Id, Limit
from chatkit_engine.store import usage
from chatkit_engine.store.threads import load_thread
from chatkit_engine.store.usage import ModelUsage, Usage, UsageEntry, UsageTotal

router = APIRouter(prefix="/api", tags=["usage"])


class TurnUsage(BaseModel):
    """The usage of one turn. `input_tokens` includes `cached_tokens`. `cost` is in USD."""

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


@router.get("/usage", dependencies=[FairRead])
async def user_usage(user: CurrentUser, database: Db, since: date | None = None) -> UserUsage:
    """Return the user's usage by model, since the start of a day in UTC."""
    seconds = since and datetime.combine(since, time.min, UTC).timestamp()
    models = await database.read(usage.summary, user.id, since=seconds)
    return UserUsage(total=usage.total(models), models=models)


@router.get("/threads/{thread_id}/usage", dependencies=[FairRead])
async def thread_usage(
    thread_id: Id, user: CurrentUser, database: Db, limit: Limit = 20
) -> ThreadUsage:
    """Return the usage of a thread's newest turns, newest first, and the total of all turns."""
    return await database.read(_load_thread_usage, user.id, thread_id, limit)


def turn_usage(used: Usage | None) -> TurnUsage | None:
    return TurnUsage.model_validate(used) if used else None


def _load_thread_usage(
    connection: Connection, user_id: str, thread_id: str, limit: int
) -> ThreadUsage:
    # For the NotFoundError.
    load_thread(connection, thread_id, user_id)
    total = usage.total(usage.summary(connection, user_id, thread_id))
    return ThreadUsage(total=total, turns=usage.newest(connection, user_id, thread_id, limit))
