"""Tests which generated images the model receives again."""

from support.app import Running
from support.images import FINAL, draw, encoded, image_events, png, stored_blobs

from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import Json, add, create, events, thread_id


def _parts(api: FakeModelApi) -> list[Json]:
    items: list[Json] = api.requests[-1]["input"]
    return [part for item in items if item["role"] == "user" for part in item["content"]]


async def test_the_next_turns_model_sees_the_image(app: Running, model_api: FakeModelApi) -> None:
    thread = thread_id(await draw(app, model_api))

    await app.chatkit(add(thread, "Make it blue"))

    assert _parts(model_api) == [
        {"type": "input_text", "text": "Draw a red circle"},
        {"type": "input_text", "text": "(You generated an image here.)"},
        {
            "type": "input_image",
            "detail": "auto",
            "image_url": f"data:image/png;base64,{encoded(FINAL)}",
        },
        {"type": "input_text", "text": "Make it blue"},
    ]


async def test_the_model_sees_the_newest_images_and_notes_for_the_others(
    app: Running, model_api: FakeModelApi
) -> None:
    large = png("large") + bytes(8 * 1024 * 1024)
    drawn = [png("one"), png("two"), large]
    prompts = ["a house", "a tree", "a sea"]
    model_api.script(
        *(
            Reply(f"{prompt}.", events=image_events(content, prompt))
            for content, prompt in zip(drawn, prompts, strict=True)
        )
    )
    thread = thread_id(events((await app.chatkit(create("Draw"))).text))
    for text in ("And", "And", "Which is best?"):
        await app.chatkit(add(thread, text))

    shown = [part for part in _parts(model_api) if part.get("text", "(")[0] == "("]
    assert [part.get("text") for part in shown[1::2]] == [
        "(It is not repeated here. It was made for: a house)",
        None,
        "(It is not repeated here. It was made for: a sea)",
    ]
    assert encoded(png("two")) in shown[3]["image_url"]


async def test_the_model_is_told_that_an_image_is_gone(
    app: Running, model_api: FakeModelApi
) -> None:
    thread = thread_id(await draw(app, model_api))
    await app.services.blobs.delete(await stored_blobs(app))

    await app.chatkit(add(thread, "Make it blue"))

    assert {"type": "input_text", "text": "(It is not stored any more.)"} in _parts(model_api)
