"""Tests generated images over the real client: what is shown, by links, and what is refused."""

from base64 import b64decode
from datetime import timedelta
from typing import Any

import pytest
from support.app import SECRET, Running, running_app
from support.images import (
    FINAL,
    GIF,
    JPEG,
    WEBP,
    Event,
    begun,
    done,
    draw,
    encoded,
    image_events,
    nothing_is_left,
    of_type,
    partial,
    png,
    rows,
    url_of,
)

from chatkit_engine import features
from chatkit_engine.security.authentication import issue_token
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import answer, create, events, op, thread_id

TOO_LARGE = FINAL + bytes(20 * 1024 * 1024)
BROKEN = {
    "no base64": done("not base64!"),
    "nothing": done(None),
    "a GIF": done(encoded(GIF)),
    "text": done(encoded(b"<svg/>")),
    "too much": done(encoded(TOO_LARGE)),
}


@pytest.mark.parametrize(
    ("content", "type_"),
    [(FINAL, "image/png"), (JPEG, "image/jpeg"), (WEBP, "image/webp")],
)
async def test_an_image_is_shown_by_a_link_to_its_bytes(
    stored_app: Running, model_api: FakeModelApi, content: bytes, type_: str
) -> None:
    streamed = await draw(stored_app, model_api, content)
    read = await stored_app.http.get(url_of(streamed))

    assert "Here it is." in answer(streamed)
    assert url_of(streamed).startswith("http://localhost:8000/api/images/img_")
    assert read.content == content
    assert read.headers["content-type"] == type_
    assert read.headers["content-length"] == str(len(content))
    assert read.headers["content-disposition"].startswith("inline")
    assert read.headers["x-content-type-options"] == "nosniff"
    assert read.headers["cache-control"].startswith("private, max-age=3")
    assert await rows(stored_app, "size") == [len(content)]
    assert await rows(stored_app, "key", "dead_blobs") == []


async def test_previews_show_how_far_the_image_is(app: Running, model_api: FakeModelApi) -> None:
    streamed = await draw(app, model_api)

    (added,) = [e for e in of_type(streamed, "thread.item.added") if "image" in e["item"]["type"]]
    updates = [e for e in streamed if e.get("item_id") == added["item"]["id"]]
    images = [event["update"]["image"] for event in updates]
    assert [b64decode(each["url"].partition("base64,")[2]) for each in images] == [
        png("preview 0"),
        png("preview 1"),
    ]
    assert [event["update"]["progress"] for event in updates] == [0, 0.5]
    assert {each["id"] for each in images} == {added["item"]["id"]}
    assert url_of(streamed).partition("?")[0].endswith(added["item"]["id"])


async def test_the_model_is_given_the_tool_where_it_is_on(
    app: Running, with_model: Settings, model_api: FakeModelApi
) -> None:
    await app.chatkit(create("hello"))
    async with running_app(with_model) as without:
        await without.chatkit(create("hello"))

    on, off = (
        [tool for tool in request["tools"] if tool["type"] == "image_generation"]
        for request in (model_api.requests[0], model_api.requests[1])
    )
    assert on == [{"type": "image_generation", "partial_images": 2}]
    assert off == []


async def test_an_answer_may_have_an_image_and_a_tools_call(
    app: Running, model_api: FakeModelApi
) -> None:
    both = Reply(calls=[("current_time", {})], events=image_events(FINAL))
    model_api.script(both, Reply("Here it is."))

    streamed = events((await app.chatkit(create("Draw the time"))).text)

    assert (await app.http.get(url_of(streamed))).content == FINAL
    assert "Here it is." in answer(streamed)
    (made,) = [i for i in model_api.requests[-1]["input"] if i["type"] == "image_generation_call"]
    assert made["result"] == encoded(FINAL)


async def test_image_links_are_signed_again_in_every_response(
    app: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply("Here.", events=image_events(FINAL)))
    key = {"Idempotency-Key": "one"}
    streamed = events((await app.http.post("/chatkit", json=create("Draw"), headers=key)).text)
    replayed = events((await app.http.post("/chatkit", json=create("Draw"), headers=key)).text)
    thread = thread_id(streamed)
    by_op = await app.chatkit(op("threads.get_by_id", thread_id=thread))
    listed = await app.chatkit(op("items.list", thread_id=thread, order="asc"))
    by_rest = await app.http.get(f"/api/threads/{thread}/items")

    items = [
        *(event["item"] for event in of_type([*streamed, *replayed], "thread.item.done")),
        *by_op.json()["items"]["data"],
        *listed.json()["data"],
        *by_rest.json()["data"],
    ]
    links = [item["image"]["url"] for item in items if item["type"] == "generated_image"]
    assert len(links) == 5
    for link in links:
        assert (await app.http.get(link)).content == FINAL


async def test_a_link_that_was_not_given_out_is_refused(
    app: Running, model_api: FakeModelApi
) -> None:
    url = url_of(await draw(app, model_api))
    other = url_of(await draw(app, model_api))
    path, _, token = url.partition("?token=")

    unsigned = await app.http.get(path)
    tampered = await app.http.get(f"{path}?token={token[:-4]}AAAA")
    of_another = await app.http.get(f"{path}?token={other.partition('?token=')[2]}")
    unknown = await app.http.get(f"{path[:-4]}0000?token={token}")

    assert [each.status_code for each in (unsigned, tampered, of_another, unknown)] == [
        401,
        403,
        403,
        403,
    ]


async def test_an_old_link_is_refused(drawing: Settings, model_api: FakeModelApi) -> None:
    old = drawing.model_copy(update={"download_link_seconds": -1})
    async with running_app(old) as app:
        refused = await app.http.get(url_of(await draw(app, model_api)))

    assert refused.status_code == 403
    assert "expired" in refused.json()["detail"]


async def test_another_user_gets_no_image(drawing: Settings, model_api: FakeModelApi) -> None:
    values = drawing.model_dump() | {"auth_mode": "jwt", "jwt_secret": SECRET}
    settings = Settings.model_validate(values)
    async with running_app(settings) as app:
        ada, eve = (_bearer(settings, name) for name in ("ada", "eve"))
        model_api.script(Reply("Here.", events=image_events(FINAL)))
        streamed = events((await app.http.post("/chatkit", json=create("Draw"), headers=ada)).text)
        url = url_of(streamed)
        thread = thread_id(streamed)

        assert (await app.http.get(url)).content == FINAL
        assert (await app.http.get(url.partition("?")[0], headers=eve)).status_code == 401
        items = await app.http.get(f"/api/threads/{thread}/items", headers=eve)
        assert items.status_code == 404


def _bearer(settings: Settings, user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_token(settings, user, timedelta(minutes=1))}"}


@pytest.mark.parametrize("last", BROKEN.values(), ids=BROKEN)
async def test_an_invalid_image_is_removed_and_the_turn_continues(
    app: Running, model_api: FakeModelApi, last: Event
) -> None:
    model_api.script(Reply("Sorry.", events=[begun(), partial(b"broken"), last]))

    streamed = events((await app.chatkit(create("Draw"))).text)

    (added,) = [e for e in of_type(streamed, "thread.item.added") if "image" in e["item"]["type"]]
    (removed,) = of_type(streamed, "thread.item.removed")
    (notice,) = of_type(streamed, "notice")
    assert removed["item_id"] == added["item"]["id"]
    assert "Please ask for it" in notice["message"]
    assert "generated_image.updated" not in str(streamed)
    assert "Sorry." in answer(streamed)
    assert await nothing_is_left(app)


async def test_a_storage_failure_is_reported_and_the_turn_continues(
    drawing: Settings, model_api: FakeModelApi, tmp_path: Any
) -> None:
    (tmp_path / "file").touch()
    broken = drawing.model_copy(update={"upload_dir": tmp_path / "file"})
    async with running_app(broken) as app:
        streamed = await draw(app, model_api)

        (notice,) = of_type(streamed, "notice")
        assert "could not be stored" in notice["message"]
        assert "Here it is." in answer(streamed)
        assert await rows(app) == []


async def test_images_need_no_feature(
    drawing: Settings, model_api: FakeModelApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "__path__", [])
    async with running_app(drawing) as app:
        streamed = await draw(app, model_api)

        assert (await app.http.post("/api/attachments")).status_code == 404
        assert (await app.http.get(url_of(streamed))).content == FINAL
        await app.http.delete(f"/api/threads/{thread_id(streamed)}")
        assert await nothing_is_left(app)
