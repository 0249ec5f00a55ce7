"""Tests the tools of a third-party server within a turn."""

from typing import Any

import pytest
from features.mcp import parcels
from features.mcp.conftest import UseServers
from features.mcp.turns import call, connected_app, decision, offered, outputs, widgets
from mcp.types import Tool
from support.app import running_app

from chatkit_engine.features.mcp.client.connection import ServerConnection
from chatkit_engine.features.mcp.client.tools import ServerTools
from chatkit_engine.features.mcp.settings import ServerSettings
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import answer, create, thread_id

BONN = {"city": "Bonn"}


async def test_the_model_calls_a_tool_and_reads_what_it_answered(
    with_model: Settings, model_api: FakeModelApi, use_servers: UseServers, parcels_url: str
) -> None:
    use_servers(post={"url": parcels_url})

    async with connected_app(with_model) as app:
        streamed = await call(app, model_api, "post_weigh", BONN)

    assert answer(streamed).strip() == "All right."
    assert outputs(model_api) == ["Bonn weighs 5"]
    assert offered(model_api)["post_weigh"]["description"] == "Weigh a parcel."


async def test_a_first_turn_waits_for_the_connection(
    with_model: Settings, model_api: FakeModelApi, use_servers: UseServers, parcels_url: str
) -> None:
    use_servers(post={"url": parcels_url})

    async with running_app(with_model) as app:
        await call(app, model_api, "post_weigh", BONN)

    assert outputs(model_api) == ["Bonn weighs 5"]


@pytest.mark.parametrize(
    ("tool", "told"),
    [
        ("post_look", "It is brown.\n(image, which cannot be shown here)"),
        ("post_measure", '{"grams":5}'),
        ("post_odd_name", "It is brown.\n(image, which cannot be shown here)"),
    ],
)
async def test_content_that_is_not_text_is_mentioned(
    with_model: Settings,
    model_api: FakeModelApi,
    use_servers: UseServers,
    parcels_url: str,
    tool: str,
    told: str,
) -> None:
    use_servers(post={"url": parcels_url})

    async with connected_app(with_model) as app:
        await call(app, model_api, tool, {})

    assert outputs(model_api) == [told]


async def test_the_models_input_of_an_output_is_limited(
    with_model: Settings, model_api: FakeModelApi, use_servers: UseServers, parcels_url: str
) -> None:
    use_servers(post={"url": parcels_url})

    async with connected_app(with_model) as app:
        await call(app, model_api, "post_read_all", {})

    assert outputs(model_api)[0].endswith("(The rest of the output was left out.)")
    assert len(outputs(model_api)[0]) < 100_000


async def test_the_model_learns_that_a_tool_failed_but_not_why(
    with_model: Settings, model_api: FakeModelApi, use_servers: UseServers, parcels_url: str
) -> None:
    use_servers(post={"url": parcels_url})

    async with connected_app(with_model) as app:
        streamed = await call(app, model_api, "post_broken", {})
        wrong = await call(app, model_api, "post_weigh", {"town": "secret"}, to=thread_id(streamed))

    assert answer(streamed).strip() == answer(wrong).strip() == "All right."
    assert all("reported an error" in output for output in outputs(model_api))
    assert "secret" not in str(outputs(model_api))


async def test_a_tool_that_takes_too_long_is_given_up_and_the_next_call_works(
    with_model: Settings,
    model_api: FakeModelApi,
    use_servers: UseServers,
    parcels_url: str,
    tmp_path: object,
) -> None:
    use_servers(post={"url": parcels_url, "timeout_seconds": 0.3})

    async with connected_app(with_model) as app:
        streamed = await call(app, model_api, "post_wait", {"folder": str(tmp_path)})
        assert "did not answer in time" in outputs(model_api)[0]
        await call(app, model_api, "post_weigh", BONN, to=thread_id(streamed))

    assert outputs(model_api)[-1] == "Bonn weighs 5"


async def test_only_the_selected_tools_are_offered(
    with_model: Settings, model_api: FakeModelApi, use_servers: UseServers, parcels_url: str
) -> None:
    use_servers(
        some={"url": parcels_url, "tools": ["weigh", "burn", "nothing"]},
        most={"url": parcels_url, "blocked_tools": ["burn"]},
    )

    async with connected_app(with_model) as app:
        await app.ask(create("Hello"))

    names = [name for name in offered(model_api) if name.startswith(("some_", "most_"))]
    assert sorted(name for name in names if name.startswith("some_")) == ["some_burn", "some_weigh"]
    assert "most_weigh" in names
    assert "most_burn" not in names


@pytest.mark.parametrize(
    ("schema", "count"),
    [
        ({"type": "object"}, 1),
        ({"type": "string"}, 0),
        ({"type": "object", "properties": 5}, 0),
        ({"type": "object", "description": "x" * 1_000_000}, 0),
    ],
)
async def test_a_tool_with_an_invalid_schema_is_not_offered(
    monkeypatch: pytest.MonkeyPatch, schema: dict[str, Any], count: int
) -> None:
    connection = ServerConnection("some", ServerSettings(command="some"))
    connection.tools = [Tool(name="weigh", input_schema=schema)]
    monkeypatch.setattr(ServerConnection, "is_open", True)

    offered_tools = await ServerTools(connection, lambda: ()).tools()

    assert len(offered_tools) == count


async def test_tool_names_are_valid_and_unique(
    with_model: Settings, model_api: FakeModelApi, use_servers: UseServers, parcels_url: str
) -> None:
    use_servers(current={"url": parcels_url}, other={"url": parcels_url})

    async with connected_app(with_model) as app:
        await app.ask(create("Hello"))

    names = [tool["name"] for tool in model_api.requests[-1]["tools"]]
    assert len(names) == len(set(names))
    assert "current_time" in names
    assert all(len(name) <= 64 for name in names)
    assert len([name for name in names if name.startswith("other_")]) == 12


@pytest.mark.parametrize(
    ("approval", "tool", "asks"),
    [
        ("auto", "post_weigh", False),
        ("auto", "post_send", False),
        ("auto", "post_burn", True),
        ("always", "post_weigh", True),
        ("never", "post_burn", False),
        (["weigh"], "post_weigh", True),
        (["weigh"], "post_burn", False),
    ],
)
async def test_approval_is_asked_for_as_the_settings_say(
    with_model: Settings,
    model_api: FakeModelApi,
    use_servers: UseServers,
    parcels_url: str,
    approval: object,
    tool: str,
    asks: bool,
) -> None:
    use_servers(post={"url": parcels_url, "approval": approval})

    async with connected_app(with_model) as app:
        streamed = await call(app, model_api, tool, BONN)

    assert bool(widgets(streamed)) == asks


async def test_an_approved_call_runs_once(
    with_model: Settings, model_api: FakeModelApi, use_servers: UseServers, parcels_url: str
) -> None:
    use_servers(post={"url": parcels_url})

    async with connected_app(with_model) as app:
        streamed = await call(app, model_api, "post_burn", BONN)
        assert parcels.done == []
        await app.ask(decision(streamed, approved=True))
        again = await app.chatkit(decision(streamed, approved=True))

    assert parcels.done == ["burnt Bonn"]
    assert outputs(model_api) == ["gone"]
    assert again.status_code == 409


async def test_untrusted_output_makes_tools_with_effects_wait(
    with_model: Settings, model_api: FakeModelApi, use_servers: UseServers, parcels_url: str
) -> None:
    use_servers(post={"url": parcels_url})

    async with connected_app(with_model) as app:
        streamed = await call(app, model_api, "post_weigh", BONN)
        reading = await call(app, model_api, "post_weigh", BONN, to=thread_id(streamed))
        sending = await call(app, model_api, "post_send", BONN, to=thread_id(streamed))

    assert widgets(reading) == []
    assert len(widgets(sending)) == 1
    assert parcels.done == []


@pytest.mark.parametrize("parallel", [True, False])
async def test_calls_of_a_server_may_be_made_sequential(
    with_model: Settings,
    model_api: FakeModelApi,
    use_servers: UseServers,
    parcels_url: str,
    parallel: bool,
) -> None:
    use_servers(post={"url": parcels_url, "parallel": parallel})

    async with connected_app(with_model) as app:
        await app.ask(create("Hello"))

    asked = model_api.requests[-1].get("parallel_tool_calls")
    assert asked is (None if parallel else False)


@pytest.mark.parametrize("send_user", [True, False])
async def test_a_server_gets_the_user_only_if_the_settings_allow_it(
    with_model: Settings,
    model_api: FakeModelApi,
    use_servers: UseServers,
    parcels_url: str,
    send_user: bool,
) -> None:
    use_servers(post={"url": parcels_url, "send_user": send_user})

    async with connected_app(with_model) as app:
        await call(app, model_api, "post_who", {})

    assert ("'chatkit/user': 'local'" in outputs(model_api)[0]) == send_user


async def test_concurrent_calls_share_the_connection(
    with_model: Settings, model_api: FakeModelApi, use_servers: UseServers, parcels_url: str
) -> None:
    use_servers(post={"url": parcels_url})
    calls = [("post_weigh", {"city": city}) for city in ("Bonn", "Köln", "Aachen")]
    model_api.script(Reply(calls=calls), Reply("All light."))

    async with connected_app(with_model) as app:
        await app.ask(create("How heavy?"))

    assert outputs(model_api) == ["Bonn weighs 5", "Köln weighs 5", "Aachen weighs 5"]
