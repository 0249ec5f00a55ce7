"""The changes of `docs/customize.md`, seen over HTTP."""

from chatkit_engine.testing import (
    FakeModelApi,
    Reply,
    Running,
    create,
    items_of,
    op,
    thread_id,
)


async def test_the_instructions_depend_on_the_page(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("Yes."))
    page = {"page_context": {"current_chapter": "7"}}
    await app_with_model.http.post("/api/chat", json={"message": "Hello", "context": page})

    assert "working on chapter 7" in str(model_api.requests[0])


async def test_the_widget_is_shown_and_its_button_rolls_again(app: Running) -> None:
    streamed = await app.ask(create("show dice"))
    [shown] = items_of(streamed, "widget")
    action = {"type": "dice.again", "payload": {"count": 2}}
    again = await app.ask(
        op(
            "threads.custom_action",
            thread_id=thread_id(streamed),
            item_id=shown["id"],
            action=action,
        )
    )

    assert shown["widget"]["children"][1]["label"] == "Roll again"
    assert [event["type"] for event in again if "replaced" in event["type"]]


async def test_the_assistant_hands_over_to_the_cook(app: Running) -> None:
    answer = await app.http.post("/api/chat", json={"message": "transfer to cook", "stream": True})

    assert "Cook" in answer.text


async def test_the_route_knows_the_user(app: Running) -> None:
    assert (await app.http.get("/api/whoami")).json() == {"user": "local"}


async def test_bookmarks_are_kept_exported_and_erased(app: Running) -> None:
    added = await app.http.post("/api/bookmarks", json={"url": "https://example.com"})
    listed = await app.http.get("/api/bookmarks")
    exported = await app.http.get("/api/me/data")
    await app.http.request("DELETE", "/api/me/data")

    assert added.status_code == 201
    assert listed.json() == ["https://example.com"]
    assert "https://example.com" in exported.text
    assert (await app.http.get("/api/bookmarks")).json() == []


async def test_the_guardrail_refuses(app: Running) -> None:
    answer = await app.http.post("/api/chat", json={"message": "Give me a diagnosis"})

    assert "medical advice" in answer.text
