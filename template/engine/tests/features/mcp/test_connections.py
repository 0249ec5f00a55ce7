"""Tests turns while servers start, stop, hang and change."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from features.mcp import parcels
from features.mcp.conftest import UseServers
from features.mcp.processes import is_alive, kill, pids, plain, waiting_pid
from features.mcp.turns import call, connected_app, offered, outputs, server_health
from support.app import running_app

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi
from chatkit_engine.testing.ports import free_port
from chatkit_engine.testing.requests import answer, create, thread_id
from chatkit_engine.testing.waiting import eventually

BONN = {"city": "Bonn"}


@pytest.fixture
def silent_url() -> Iterator[str]:
    """The URL of a server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"


async def test_everything_works_without_unreachable_servers(
    with_model: Settings, model_api: FakeModelApi, use_servers: UseServers
) -> None:
    use_servers(
        nobody={"url": f"http://127.0.0.1:{free_port()}/mcp"},
        nothing={"command": "/no/such/command"},
        mute={"command": "true"},
    )

    async with running_app(with_model) as app:
        streamed = await app.ask(create("Hello"))
        ready = await app.http.get("/health/ready")
        assert answer(streamed).strip() == "echo: Hello"
        assert ready.status_code == 200
        assert set((await server_health(app)).values()) == {"cannot be reached, retrying"}
        await call(app, model_api, "nobody_weigh", BONN)

    assert not [name for name in offered(model_api) if name.startswith(("nobody_", "nothing_"))]


@pytest.mark.parametrize(("required", "status"), [(True, 503), (False, 200)])
async def test_a_required_server_takes_the_service_out_of_rotation(
    with_model: Settings, use_servers: UseServers, required: bool, status: int
) -> None:
    use_servers(nobody={"command": "/no/such/command", "required": required})

    async with running_app(with_model) as app:
        assert (await app.http.get("/health/ready")).status_code == status


async def test_a_silent_server_delays_a_turn_within_bounds_and_a_stop_not_at_all(
    with_model: Settings,
    use_servers: UseServers,
    silent_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chatkit_engine.features.mcp.client.connection.WAIT_SECONDS", 0.2)
    use_servers(silent={"url": silent_url}, deaf={"command": "cat"})

    async with asyncio.timeout(20), running_app(with_model) as app:
        streamed = await app.ask(create("Hello"))
        assert answer(streamed).strip() == "echo: Hello"
        assert (await server_health(app))["silent"] == "connecting"


async def test_a_server_that_starts_later_is_connected(
    with_model: Settings, model_api: FakeModelApi, use_servers: UseServers
) -> None:
    port = free_port()
    use_servers(post={"url": f"http://127.0.0.1:{port}/mcp"})

    async with running_app(with_model) as app:
        await app.ask(create("Hello"))
        assert "post_weigh" not in offered(model_api)
        with parcels.served(parcels.create_parcels(), port):

            async def is_offered() -> bool:
                await app.ask(create("Hello"))
                return "post_weigh" in offered(model_api)

            await eventually(is_offered)
            await call(app, model_api, "post_weigh", BONN)

    assert outputs(model_api) == ["Bonn weighs 5"]


async def test_a_server_that_restarts_is_reconnected(
    with_model: Settings, model_api: FakeModelApi, use_servers: UseServers
) -> None:
    port = free_port()
    use_servers(post={"url": f"http://127.0.0.1:{port}/mcp"})

    with parcels.served(parcels.create_parcels(), port):
        running = running_app(with_model)
        app = await running.__aenter__()
        streamed = await call(app, model_api, "post_weigh", BONN)
    lost = await call(app, model_api, "post_weigh", BONN, to=thread_id(streamed))
    with parcels.served(parcels.create_parcels(), port):

        async def works_again() -> bool:
            await call(app, model_api, "post_weigh", BONN)
            return outputs(model_api) == ["Bonn weighs 5"]

        await eventually(works_again)
        await running.__aexit__(None, None, None)

    assert answer(lost).strip() == "All right."


async def test_a_killed_process_is_started_again_before_the_next_turn(
    with_model: Settings, model_api: FakeModelApi, use_servers: UseServers, tmp_path: Path
) -> None:
    use_servers(plain=plain(tmp_path))

    async with connected_app(with_model) as app:
        [first] = pids(tmp_path, "started")
        kill(first)

        async def is_restarted() -> bool:
            connected = (await server_health(app))["plain"].startswith("connected")
            return connected and len(pids(tmp_path, "started")) == 2

        await eventually(is_restarted)
        await call(app, model_api, "plain_weigh", {})

    [second] = set(pids(tmp_path, "started")) - {first}
    assert outputs(model_api) == [f"weigh by {second}"]
    assert not is_alive(first)
    assert not is_alive(second)


async def test_an_interrupted_call_is_reported_as_unknown_and_not_repeated(
    with_model: Settings, model_api: FakeModelApi, use_servers: UseServers, tmp_path: Path
) -> None:
    use_servers(plain=plain(tmp_path))

    async with connected_app(with_model) as app:
        turn = asyncio.create_task(call(app, model_api, "plain_wait", {}))
        kill(await waiting_pid(tmp_path))
        streamed = await turn
        assert "unknown whether the call took effect" in outputs(model_api)[0]
        await call(app, model_api, "plain_weigh", {}, to=thread_id(streamed))

    assert outputs(model_api)[-1].startswith("weigh by")
    assert len(pids(tmp_path, "waiting")) == 1


@pytest.mark.slow
async def test_a_process_that_hangs_is_ended_and_started_again(
    with_model: Settings,
    model_api: FakeModelApi,
    use_servers: UseServers,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chatkit_engine.features.mcp.client.connection.LIST_SECONDS", 0.5)
    use_servers(plain=plain(tmp_path, timeout_seconds=0.5))

    async with connected_app(with_model) as app:
        [first] = pids(tmp_path, "started")
        streamed = await call(app, model_api, "plain_hang", {})
        assert "did not answer in time" in outputs(model_api)[0]

        async def is_restarted() -> bool:
            return len(pids(tmp_path, "started")) == 2

        await eventually(is_restarted)
        await call(app, model_api, "plain_weigh", {}, to=thread_id(streamed))

    assert outputs(model_api)[-1].startswith("weigh by")
    assert not is_alive(first)


async def test_a_tool_that_a_server_adds_is_offered(
    with_model: Settings, model_api: FakeModelApi, use_servers: UseServers, tmp_path: Path
) -> None:
    use_servers(plain=plain(tmp_path))

    async with connected_app(with_model) as app:
        await call(app, model_api, "plain_grow", {})

        async def is_offered() -> bool:
            await app.ask(create("Hello"))
            return "plain_grown" in offered(model_api)

        await eventually(is_offered)


async def test_an_app_that_stops_while_it_connects_leaves_no_process(
    with_model: Settings, use_servers: UseServers, tmp_path: Path
) -> None:
    use_servers(plain=plain(tmp_path))

    async def has_started() -> bool:
        return bool(pids(tmp_path, "started"))

    async with running_app(with_model):
        await eventually(has_started)

    assert not any(is_alive(pid) for pid in pids(tmp_path, "started"))


@pytest.mark.slow
async def test_an_app_that_is_cancelled_leaves_no_process(
    with_model: Settings, use_servers: UseServers, tmp_path: Path
) -> None:
    use_servers(plain=plain(tmp_path))
    up = asyncio.Event()

    async def run() -> None:
        async with running_app(with_model):
            up.set()
            await asyncio.Event().wait()

    for moment in (0.0, 0.05, 0.5):
        up.clear()
        task = asyncio.create_task(run())
        await up.wait()
        await asyncio.sleep(moment)
        task.cancel()
        await asyncio.wait({task})

    assert not any(is_alive(pid) for pid in pids(tmp_path, "started"))
