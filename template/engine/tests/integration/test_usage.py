"""Usage is recorded for each turn, and summed for each thread and user."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from support.app import SECRET, Running, running_app
from support.sql import run_sql

from chatkit_engine.models.demo.model import DemoModel
from chatkit_engine.models.registry import ChatModel
from chatkit_engine.security.authentication import issue_token
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import Json, create, events, named_events, thread_id
from chatkit_engine.testing.waiting import eventually

COST = (10 * 2 + 5 * 8) / 1_000_000
TURN = {"requests": 1, "input_tokens": 10, "cached_tokens": 0, "output_tokens": 5, "cost": COST}
NOTHING: Json = dict.fromkeys(TURN, 0) | {"reasoning_tokens": 0, "unpriced_requests": 0}


@pytest.fixture
def settings(each_database: Settings, model_api: FakeModelApi) -> Settings:
    values = each_database.model_dump() | {
        "auth_mode": "jwt",
        "jwt_secret": SECRET,
        "openai_api_key": "sk-test",
        "openai_base_url": model_api.url,
        "llm_model": "fake",
        "llm_max_retries": 0,
        "llm_prices": {"fake": (2, 1, 8)},
        "thread_titles": False,
    }
    return Settings.model_validate(values)


class Person:
    """One user's requests."""

    def __init__(self, app: Running, name: str) -> None:
        self._app = app
        token = issue_token(app.services.settings, name, timedelta(hours=1))
        self.headers = {"Authorization": f"Bearer {token}"}

    async def ask(self, text: str = "Hello", **more: Any) -> Json:
        body = {"message": text, **more}
        response = await self._app.http.post("/api/chat", json=body, headers=self.headers)
        return response.json()

    async def get(self, path: str, **query: str) -> Any:
        response = await self._app.http.get(path, params=query, headers=self.headers)
        return response.json() if response.status_code == 200 else response.status_code

    async def delete(self, path: str) -> Any:
        return await self._app.http.delete(path, headers=self.headers)


@asynccontextmanager
async def _ada_and_eve(
    settings: Settings, model: ChatModel | None = None
) -> AsyncGenerator[tuple[Running, Person, Person]]:
    async with running_app(settings, model) as app:
        yield app, Person(app, "ada"), Person(app, "eve")


async def _rows(app: Running) -> list[tuple[Any, ...]]:
    columns = "SELECT user_id, kind, model, requests, input_tokens, output_tokens FROM usage"
    return await app.services.database.read(run_sql, f"{columns} ORDER BY seq")


async def test_a_turn_reports_its_usage_as_json_and_in_a_stream(settings: Settings) -> None:
    async with _ada_and_eve(settings) as (app, ada, _eve):
        reply = await ada.ask()
        body = {"message": "Hi", "stream": True}
        streamed = await app.http.post("/api/chat", json=body, headers=ada.headers)

    assert reply["usage"] == TURN
    assert named_events(streamed.text)[-1][1]["usage"] == TURN


async def test_a_threads_turns_are_listed_newest_first_with_their_total(
    settings: Settings, model_api: FakeModelApi
) -> None:
    async with _ada_and_eve(settings) as (_app, ada, _eve):
        thread = (await ada.ask())["thread_id"]
        model_api.script(Reply(calls=[("current_time", {})]), Reply("It is late."))
        await ada.ask("What time is it?", thread_id=thread)
        await ada.ask("in another thread")

        told = await ada.get(f"/api/threads/{thread}/usage")
        newest = await ada.get(f"/api/threads/{thread}/usage", limit="1")

    assert [turn["requests"] for turn in told["turns"]] == [2, 1]
    first = told["turns"][1]
    assert first | TURN == first
    assert (first["kind"], first["model"]) == ("turn", "fake")
    assert datetime.fromisoformat(first["created_at"]).tzinfo
    assert told["total"]["requests"] == 3
    assert told["total"]["input_tokens"] == 30
    assert told["total"]["cost"] == pytest.approx(3 * COST)
    assert newest == {"total": told["total"], "turns": told["turns"][:1]}


async def test_a_users_usage_is_summed_by_model_since_a_day(settings: Settings) -> None:
    today = datetime.now(UTC).date()
    async with _ada_and_eve(settings) as (app, ada, _eve):
        for _again in range(3):
            await ada.ask()
        earlier = "UPDATE usage SET created_at = created_at - 86400 * 3 WHERE seq = 1"
        await app.services.database.write(run_sql, earlier)

        everything = await ada.get("/api/usage")
        lately = await ada.get("/api/usage", since=str(today - timedelta(days=2)))
        later = await ada.get("/api/usage", since=str(today + timedelta(days=2)))
        wrong = await ada.get("/api/usage", since="yesterday")
        always = await ada.get("/api/usage", since=str(date.min))

    assert everything["total"]["requests"] == 3
    assert everything["models"] == [{"model": "fake"} | everything["total"]]
    assert lately["total"]["requests"] == 2
    assert lately["total"]["cost"] == pytest.approx(2 * COST)
    assert later == {"total": NOTHING, "models": []}
    assert wrong == 422
    assert always == everything


async def test_a_cost_is_unknown_as_soon_as_a_part_of_it_is(settings: Settings) -> None:
    async with _ada_and_eve(settings) as (_app, ada, _eve):
        thread = (await ada.ask())["thread_id"]
    other = settings.model_copy(update={"llm_prices": {}})
    async with _ada_and_eve(other) as (_app, ada, _eve):
        unpriced = await ada.ask(thread_id=thread)
        user = await ada.get("/api/usage")
        told = await ada.get(f"/api/threads/{thread}/usage")

    assert unpriced["usage"]["cost"] is None
    assert user["models"] == [{"model": "fake"} | user["total"]]
    assert (user["total"]["cost"], user["total"]["unpriced_requests"]) == (None, 1)
    assert told["total"] == user["total"]
    assert [turn["cost"] for turn in told["turns"]] == [None, pytest.approx(COST)]


async def test_other_users_see_no_usage(settings: Settings) -> None:
    async with _ada_and_eve(settings) as (_app, ada, eve):
        thread = (await ada.ask())["thread_id"]

        assert await eve.get(f"/api/threads/{thread}/usage") == 404
        assert await eve.get("/api/threads/thr_unknown/usage") == 404
        assert await eve.get("/api/usage") == {"total": NOTHING, "models": []}


async def test_usage_outlives_its_thread_and_is_erased_with_its_user(settings: Settings) -> None:
    async with _ada_and_eve(settings) as (app, ada, eve):
        thread = (await ada.ask())["thread_id"]
        await eve.ask()
        before = await ada.get("/api/usage")

        await ada.delete(f"/api/threads/{thread}")
        after = await ada.get("/api/usage")
        gone = await ada.get(f"/api/threads/{thread}/usage")
        lines = await app.http.get("/api/me/data", headers=ada.headers)
        await ada.delete("/api/me/data")

        assert after == before
        assert gone == 404
        exported = [json.loads(line) for line in lines.text.splitlines()]
        (row,) = [line["row"] for line in exported if line.get("table") == "usage"]
        assert (row["user_id"], row["thread_id"], row["output_tokens"]) == ("ada", thread, 5)
        assert [row[0] for row in await _rows(app)] == ["eve"]


async def test_usage_is_erased_last_with_the_records_of_running_turns(
    settings: Settings,
) -> None:
    """A turn that ends meanwhile holds its own row: its usage is there when that row is free."""
    async with _ada_and_eve(settings) as (_app, ada, _eve):
        await ada.ask()
        erased = (await ada.delete("/api/me/data")).json()

    assert list(erased)[-1] == "usage"


async def test_a_turn_that_breaks_off_records_what_was_reported_by_then(
    settings: Settings, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(calls=[("current_time", {})]), Reply("one two", cut_after_words=1))
    async with _ada_and_eve(settings) as (app, ada, _eve):
        problem = await ada.ask("What time is it?")

        assert problem["status"] == 502
        assert await _rows(app) == [("ada", "turn", "fake", 1, 10, 5)]


async def test_a_turn_that_is_stopped_records_what_was_reported_by_then(
    settings: Settings, model_api: FakeModelApi
) -> None:
    hanging = Reply("one two three", hang_after_words=1)
    model_api.script(Reply(calls=[("current_time", {})]), hanging)
    async with _ada_and_eve(settings) as (app, ada, _eve):
        asked = asyncio.create_task(ada.ask("What time is it?"))
        await model_api.received(2)
        await app.chat_service.turns.drain(grace_seconds=0)
        await asked

        assert await _rows(app) == [("ada", "turn", "fake", 1, 10, 5)]


async def test_nothing_is_recorded_where_the_model_gave_no_answer(
    settings: Settings, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(status=500))
    async with _ada_and_eve(settings) as (app, ada, _eve):
        await ada.ask()

        assert await _rows(app) == []


async def test_a_repeated_answer_reports_its_usage_and_records_nothing(
    settings: Settings,
) -> None:
    async with _ada_and_eve(settings) as (app, ada, _eve):
        ada.headers["Idempotency-Key"] = "key-1"
        first, again = await ada.ask(), await ada.ask()

        assert again == first
        assert again["usage"] == TURN
        assert len(await _rows(app)) == 1


async def test_a_title_is_recorded_beside_the_turn_that_it_was_made_with(
    settings: Settings, model_api: FakeModelApi
) -> None:
    model_api.default = Reply("A short title")
    titled = settings.model_copy(update={"thread_titles": True})
    async with _ada_and_eve(titled) as (app, ada, _eve):
        thread = (await ada.ask())["thread_id"]

        async def both_are_there() -> bool:
            return len(await _rows(app)) == 2

        await eventually(both_are_there)
        told = await ada.get(f"/api/threads/{thread}/usage")
        rows = await _rows(app)

    assert {row[1:] for row in rows} == {(kind, "fake", 1, 10, 5) for kind in ("turn", "title")}
    assert told["total"]["cost"] == pytest.approx(2 * COST)


async def test_the_turn_keeps_its_usage_as_json(settings: Settings) -> None:
    async with _ada_and_eve(settings) as (app, ada, _eve):
        await ada.ask()
        ((text,),) = await app.services.database.read(run_sql, "SELECT usage FROM turns")

    assert json.loads(text) == TURN | {"model": "fake", "reasoning_tokens": 0}


async def test_the_demo_model_uses_no_tokens(settings: Settings) -> None:
    model = ChatModel("demo", DemoModel(word_seconds=0))
    async with _ada_and_eve(settings, model) as (app, ada, _eve):
        told = events(
            (await app.http.post("/chatkit", json=create("Hi"), headers=ada.headers)).text
        )
        usage = await ada.get(f"/api/threads/{thread_id(told)}/usage")

    assert usage["total"] == NOTHING | {"requests": 1, "unpriced_requests": 1, "cost": None}
