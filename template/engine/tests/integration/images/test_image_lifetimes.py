"""The bytes of a generated image are deleted when no item needs them."""

import json
from base64 import b64decode

from support.app import Running, running_app
from support.images import (
    FINAL,
    begun,
    draw,
    encoded,
    everything,
    image_events,
    nothing_is_left,
    of_type,
    partial,
    png,
    rows,
    stored_blobs,
    url_of,
)
from support.sql import run_sql

from chatkit_engine.context import RequestContext, User
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.blob_cleanup import delete_dead_blobs
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import Json, add, events, op, thread_id
from chatkit_engine.turns.requests import user_message_request
from chatkit_engine.turns.sweeper import Sweeper


async def test_no_row_holds_an_image_or_a_link(any_app: Running, model_api: FakeModelApi) -> None:
    await draw(any_app, model_api)

    stored = await any_app.services.database.read(everything)

    assert "generated_image" in stored
    assert "base64" not in stored
    assert encoded(FINAL)[:40] not in stored
    assert encoded(png("preview"))[:40] not in stored
    assert "token=" not in stored


async def test_an_image_goes_with_its_thread(stored_app: Running, model_api: FakeModelApi) -> None:
    streamed = await draw(stored_app, model_api)

    await stored_app.http.delete(f"/api/threads/{thread_id(streamed)}")

    assert (await stored_app.http.get(url_of(streamed))).status_code == 404
    assert await nothing_is_left(stored_app)


async def test_images_are_exported_and_erased_with_their_user(
    stored_app: Running, model_api: FakeModelApi
) -> None:
    streamed = await draw(stored_app, model_api)

    export = (await stored_app.http.get("/api/me/data")).text
    erased = (await stored_app.http.delete("/api/me/data")).json()

    (file,) = [line for line in map(json.loads, export.splitlines()) if "file" in line]
    assert f"/api/images/{file['file']}?" in url_of(streamed)
    assert b64decode(file["base64"]) == FINAL
    assert erased["attachments"] == 1
    assert await nothing_is_left(stored_app)


async def _retry(app: Running, streamed: list[Json]) -> list[Json]:
    message = next(e["item"] for e in streamed if e["type"] == "thread.item.done")
    request = op("threads.retry_after_item", thread_id=thread_id(streamed), item_id=message["id"])
    return events((await app.chatkit(request)).text)


async def test_a_retry_deletes_the_image_that_it_replaces(
    any_app: Running, model_api: FakeModelApi
) -> None:
    first = await draw(any_app, model_api)
    model_api.script(Reply("Another.", events=image_events(png("second"))))

    second = await _retry(any_app, first)
    await delete_dead_blobs(any_app.services.database, any_app.services.blobs)

    assert (await any_app.http.get(url_of(first))).status_code == 404
    assert (await any_app.http.get(url_of(second))).content == png("second")
    assert len(await rows(any_app)) == len(await stored_blobs(any_app)) == 1


async def test_a_retry_that_fails_keeps_the_old_image_alone(
    any_app: Running, model_api: FakeModelApi
) -> None:
    first = await draw(any_app, model_api)
    cut = Reply("It breaks", events=image_events(png("second")), cut_after_words=1)
    model_api.script(cut)

    await _retry(any_app, first)
    await delete_dead_blobs(any_app.services.database, any_app.services.blobs)

    assert (await any_app.http.get(url_of(first))).content == FINAL
    assert len(await rows(any_app)) == len(await stored_blobs(any_app)) == 1


async def _stopped_when(app: Running, kind: str) -> str:
    """Ask for an image, and leave when such an event has come; return what came."""
    context = RequestContext(user=User(id="local"))
    turn = await app.chat_service.start(user_message_request("Draw", None), context)
    seen = b""
    async for chunk in turn.chunks(heartbeat_seconds=10):
        seen += chunk
        if kind.encode() in seen:
            break
    await turn.stop()
    return seen.decode()


async def test_a_client_that_disconnects_during_an_image_leaves_none(
    any_app: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(events=[begun(), partial(FINAL), None]))

    seen = await _stopped_when(any_app, "generated_image.updated")

    assert encoded(FINAL) in seen
    assert await nothing_is_left(any_app)
    assert encoded(FINAL) not in await any_app.services.database.read(everything)


async def test_a_client_that_leaves_after_an_image_finds_it_again(
    any_app: Running, model_api: FakeModelApi
) -> None:
    model_api.script(Reply(events=[*image_events(FINAL), None]))

    seen = events(await _stopped_when(any_app, "token="))

    page = await any_app.http.get(f"/api/threads/{thread_id(seen)}/items")
    (link,) = [item["image"]["url"] for item in page.json()["data"] if "image" in item]
    assert (await any_app.http.get(link)).content == FINAL


async def test_an_answer_that_is_blocked_takes_its_image_along(
    drawing: Settings, model_api: FakeModelApi
) -> None:
    async with running_app(drawing.model_copy(update={"blocked_output": ["Here"]})) as app:
        streamed = await draw(app, model_api)

        image = url_of(streamed).partition("?")[0].rpartition("/")[2]
        assert image in [event["item_id"] for event in of_type(streamed, "thread.item.removed")]
        assert await nothing_is_left(app)


async def test_the_image_of_a_process_that_was_killed_is_swept(
    any_app: Running, model_api: FakeModelApi
) -> None:
    """It had stored the bytes, and was killed before it could store the item."""
    streamed = await draw(any_app, model_api)
    database = any_app.services.database
    await database.write(run_sql, "DELETE FROM items WHERE type = 'generated_image'")
    await database.write(
        run_sql, "UPDATE turns SET state = 'running', lease_expires_at = lease_expires_at - 60"
    )

    await Sweeper(database, any_app.services.settings).sweep()

    assert (await any_app.http.get(url_of(streamed))).status_code == 404
    assert await nothing_is_left(any_app)


async def test_the_next_message_removes_the_remains_of_a_killed_process(
    any_app: Running, model_api: FakeModelApi
) -> None:
    streamed = await draw(any_app, model_api)
    database = any_app.services.database
    await database.write(run_sql, "DELETE FROM items WHERE type = 'generated_image'")
    await database.write(
        run_sql, "UPDATE turns SET state = 'running', lease_expires_at = lease_expires_at - 60"
    )

    await any_app.chatkit(add(thread_id(streamed), "Are you there?"))

    assert await nothing_is_left(any_app)
