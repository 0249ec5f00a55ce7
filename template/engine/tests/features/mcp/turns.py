"""Helpers for turns in which the model calls tools."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from support.app import SAMPLE, Running, running_app

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import Json, add, create, op, thread_id
from chatkit_engine.testing.waiting import eventually


@asynccontextmanager
async def connected_app(settings: Settings, package: str = SAMPLE) -> AsyncGenerator[Running]:
    """Run an application once each of its servers is connected."""
    async with running_app(settings, app=package) as app:

        async def all_connected() -> bool:
            return all("connected" in detail for detail in (await server_health(app)).values())

        await eventually(all_connected)
        yield app


async def server_health(app: Running) -> dict[str, str]:
    """Return what is said of each server's health."""
    checks = (await app.http.get("/health/ready")).json()["checks"]
    return {each["name"][4:]: each["detail"] for each in checks if each["name"].startswith("mcp ")}


async def call(
    app: Running, model_api: FakeModelApi, tool: str, arguments: Json, *, to: str = ""
) -> list[Json]:
    """Have the model call a tool and then answer; return the turn's events."""
    model_api.forget_script()
    model_api.script(Reply(calls=[(tool, arguments)]), Reply("All right."))
    return await app.ask(add(to, "Go on") if to else create("Go"))


def outputs(model_api: FakeModelApi) -> list[str]:
    """Return the outputs of the model's calls in its last request."""
    sent: list[Any] = model_api.requests[-1]["input"]
    return [item["output"] for item in sent if item.get("type") == "function_call_output"]


def offered(model_api: FakeModelApi) -> dict[str, Json]:
    """Return the tools of the last request by their names."""
    return {tool["name"]: tool for tool in model_api.requests[-1]["tools"]}


def widgets(streamed: list[Json]) -> list[Json]:
    done = [event for event in streamed if event["type"] == "thread.item.done"]
    return [event["item"] for event in done if event["item"]["type"] == "widget"]


def decision(streamed: list[Json], *, approved: bool, thread: str = "") -> Json:
    """Return the request of the one who presses a button of the turn's only widget."""
    [item] = widgets(streamed)
    action = item["widget"]["confirm" if approved else "cancel"]["action"]
    chosen = {"type": action["type"], "payload": action["payload"]}
    thread = thread or thread_id(streamed)
    return op("threads.custom_action", thread_id=thread, item_id=item["id"], action=chosen)
