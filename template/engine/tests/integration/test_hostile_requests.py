"""Any bad request gets a 4xx that names the problem, and the server keeps running."""

from typing import Any

import pytest
from chatkit.types import FileAttachment
from support.app import Running, running_app

from chatkit_engine import features
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.attachments import save_attachment
from chatkit_engine.testing.requests import add, create, events, message, op, thread_id

JSON = {"Content-Type": "application/json"}

BROKEN_BODIES = {
    "empty": b"",
    "an empty object": b"{}",
    "cut off": b'{"type": "threads.li',
    "no object": b"[1, 2]",
    "a null": b"null",
    "not UTF-8": b'{"type": "\xff\xfe"}',
    "an unknown op": b'{"type": "threads.explode", "params": {}}',
    "no parameters": b'{"type": "threads.get_by_id"}',
    "a number for a text": b'{"type": "threads.get_by_id", "params": {"thread_id": 5}}',
    "deep nesting": b'{"type": "threads.list", "params": '
    + b'{"a":' * 10_000
    + b"1"
    + b"}" * 10_001,
    "deep arrays": b"[" * 10_000 + b"]" * 10_000,
    "a raw NUL": b'{"type": "threads.list\x00"}',
    "an escaped NUL": b'{"type": "threads.get_by_id", "params": {"thread_id": "a\\u0000b"}}',
    "a lone surrogate": b'{"type": "threads.get_by_id", "params": {"thread_id": "\\ud800"}}',
    "an infinite limit": b'{"type": "threads.list", "params": {"limit": 1e999}}',
    "a NaN": b'{"type": "threads.list", "params": {"limit": NaN}}',
}


@pytest.mark.parametrize("body", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
async def test_a_broken_body_is_a_client_error_on_every_endpoint(app: Running, body: bytes) -> None:
    for path in ("/chatkit", "/api/chat"):
        response = await app.http.post(path, content=body, headers=JSON)

        assert 400 <= response.status_code < 500, path
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["detail"]


async def test_a_message_with_a_nul_or_a_surrogate_is_refused(app: Running) -> None:
    for text in (b"a\\u0000b", b"a\\ud800b"):
        bodies = {
            "/chatkit": b'{"type": "threads.create", "params": {"input": {"content": '
            b'[{"type": "input_text", "text": "' + text + b'"}], "attachments": [], '
            b'"inference_options": {}}}}',
            "/api/chat": b'{"message": "' + text + b'"}',
        }
        for path, body in bodies.items():
            response = await app.http.post(path, content=body, headers=JSON)
            assert 400 <= response.status_code < 500

    listed = await app.chatkit(op("threads.list"))
    assert listed.json()["data"] == []


@pytest.mark.parametrize("limit", [0, -5, 1_000_000_000, 10**30])
async def test_a_hostile_limit_is_refused(app: Running, limit: int) -> None:
    thread = thread_id(events((await app.chatkit(create("Hello"))).text))

    answers = [
        await app.chatkit(op("threads.list", limit=limit)),
        await app.chatkit(op("items.list", thread_id=thread, limit=limit)),
        await app.http.get("/api/threads", params={"limit": limit}),
        await app.http.get(f"/api/threads/{thread}/items", params={"limit": limit}),
        await app.http.get("/api/threads/search", params={"q": "hello", "limit": limit}),
    ]

    assert all(400 <= answer.status_code < 500 for answer in answers)
    assert all("limit" in answer.text for answer in answers)


@pytest.mark.parametrize("after", ["thr_unknown", "'; DROP TABLE threads; --", "x" * 10_000])
async def test_a_cursor_that_does_not_exist_is_refused(app: Running, after: str) -> None:
    thread = thread_id(events((await app.chatkit(create("Hello"))).text))

    answers = [
        await app.chatkit(op("threads.list", after=after)),
        await app.chatkit(op("items.list", thread_id=thread, after=after)),
        await app.http.get("/api/threads", params={"after": after}),
    ]

    assert all(400 <= answer.status_code < 500 for answer in answers)
    assert all("after" in answer.text for answer in answers)


def _ops_on(thread: str) -> list[dict[str, Any]]:
    item = {"thread_id": thread, "item_id": "msg_unknown"}
    action: dict[str, Any] = {"thread_id": thread, "action": {"type": "press", "payload": {}}}
    return [
        op("threads.get_by_id", thread_id=thread),
        op("threads.update", thread_id=thread, title="Mine"),
        op("threads.delete", thread_id=thread),
        op("items.list", thread_id=thread),
        op("items.feedback", thread_id=thread, item_ids=["msg_unknown"], kind="negative"),
        op("threads.add_user_message", thread_id=thread, input=message("Hello")),
        op("threads.add_client_tool_output", thread_id=thread, result={}),
        op("threads.add_structured_input", **item, input={"status": "answered", "answers": {}}),
        op("threads.retry_after_item", **item),
        op("threads.custom_action", **action),
        op("threads.sync_custom_action", **action),
    ]


@pytest.mark.parametrize("request_", _ops_on("thr_unknown"), ids=lambda request: request["type"])
async def test_an_unknown_thread_is_not_found_on_every_op(
    app: Running, request_: dict[str, Any]
) -> None:
    response = await app.chatkit(request_)

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


async def test_an_item_of_the_wrong_kind_is_refused(app: Running) -> None:
    streamed = events((await app.chatkit(create("Hello"))).text)
    thread, reply = thread_id(streamed), streamed[-1]["item"]["id"]
    place = {"thread_id": thread, "item_id": reply}
    action: dict[str, Any] = {"type": "press", "payload": {}}

    answers = [
        await app.chatkit(op("threads.retry_after_item", **place)),
        await app.chatkit(op("threads.custom_action", **place, action=action)),
        await app.chatkit(op("threads.sync_custom_action", **place, action=action)),
        await app.chatkit(
            op("threads.add_structured_input", **place, input={"status": "answered", "answers": {}})
        ),
        await app.chatkit(op("threads.add_client_tool_output", thread_id=thread, result={})),
    ]

    assert [answer.status_code for answer in answers] == [400, 400, 400, 400, 409]
    following = await app.chatkit(add(thread, "Still here?"))
    assert events(following.text)[-1]["type"] == "thread.item.done"


async def test_an_attachment_that_does_not_exist_leaves_no_thread_behind(app: Running) -> None:
    response = await app.chatkit(op("threads.create", input=message("Look", "atc_unknown")))

    assert response.status_code == 404
    assert (await app.chatkit(op("threads.list"))).json()["data"] == []


async def test_without_the_feature_there_are_no_attachments(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "__path__", [])
    stored = FileAttachment(id="atc_1", name="a.txt", mime_type="text/plain")
    async with running_app(settings) as app:
        await app.services.database.write(save_attachment, stored, "local")
        answers = [
            await app.chatkit(op("attachments.create", name="a", size=1, mime_type="text/plain")),
            await app.chatkit(op("attachments.delete", attachment_id="atc_1")),
            await app.chatkit(op("threads.create", input=message("Look", "atc_1"))),
        ]
        threads = await app.chatkit(op("threads.list"))

    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert {answer.json()["detail"] for answer in answers} == {
        "This assistant does not accept attachments."
    }
    assert threads.json()["data"] == []


async def test_an_unknown_operation_is_refused_without_its_name(app: Running) -> None:
    response = await app.chatkit({"type": "x" * 100_000, "params": {}})

    assert response.status_code == 400
    assert "kind that is not known" in response.text
    assert "xx" not in response.text


@pytest.mark.parametrize("kind", ["threads.custom_action", "threads.sync_custom_action"])
async def test_an_unknown_action_is_refused(app: Running, kind: str) -> None:
    thread = thread_id(events((await app.chatkit(create("Hello"))).text))
    request = op(kind, thread_id=thread, action={"type": "press", "payload": {}})

    response = await app.chatkit(request)

    assert response.status_code == 400
    assert "action" in response.json()["detail"]


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (op("input.transcribe", audio_base64="a", mime_type="audio/webm"), "base64"),
        (op("threads.update", thread_id="THREAD", title=""), "title"),
        (op("threads.update", thread_id="THREAD", title="x" * 201), "title"),
        (op("items.feedback", thread_id="THREAD", item_ids=[], kind="positive"), "item_ids"),
        (
            op("items.feedback", thread_id="THREAD", item_ids=["x"] * 101, kind="positive"),
            "item_ids",
        ),
        (op("threads.create", input={"content": [1] * 100_000}), "10000 values"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_value_out_of_bounds_is_named(
    app: Running, request_: dict[str, Any], names: str
) -> None:
    thread = thread_id(events((await app.chatkit(create("Hello"))).text))
    if "thread_id" in request_["params"]:
        request_ = op(request_["type"], **{**request_["params"], "thread_id": thread})

    response = await app.chatkit(request_)

    assert response.status_code == 400
    assert names in response.json()["detail"]


async def test_a_wrong_method_or_path_is_a_problem_too(app: Running) -> None:
    for response in (await app.http.get("/chatkit"), await app.http.get("/nowhere")):
        assert response.status_code in {404, 405}
        assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "context",
    [
        {"page_context": "a text"},
        {"page_context": {"title": "x" * 501}},
        {"page_context": {"anything": "x" * 5000}},
        {"page_context": {"url": "a\x00b"}},
        {"selected_text": "x" * 10_001},
    ],
)
async def test_a_context_out_of_bounds_is_refused(app: Running, context: dict[str, Any]) -> None:
    answers = [
        await app.chatkit(create("Hello", metadata=context)),
        await app.chatkit(create("Hello") | {"context": context}),
        await app.http.post("/api/chat", json={"message": "Hello", "context": context}),
    ]

    assert all(answer.status_code in {400, 422} for answer in answers)
