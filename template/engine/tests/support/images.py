"""Generated images: their bytes, and how the Responses API streams them."""

import struct
import zlib
from base64 import b64encode
from typing import Any

from sqlalchemy import Connection, inspect

from chatkit_engine.store.blob_cleanup import delete_dead_blobs
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import Json, create, events
from support.app import Running
from support.sql import run_sql

Event = tuple[str, dict[str, Any]]

KIND = "response.image_generation_call"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\xff\xd9"
WEBP = b"RIFF\x0a\x00\x00\x00WEBPVP8 "
GIF = b"GIF89a;"


def png(label: str = "") -> bytes:
    """Return a PNG of one pixel; the label makes it unlike others."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    parts = [
        (b"IHDR", header),
        (b"tEXt", b"label\0" + label.encode()),
        (b"IDAT", zlib.compress(b"\0\0")),
        (b"IEND", b""),
    ]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


FINAL = png("final")


def begun(number: int = 0) -> Event:
    """Return the event that an image is being made."""
    item = _call(number) | {"status": "in_progress"}
    return "response.output_item.added", {"output_index": number, "item": item}


def partial(content: bytes, index: int = 0, number: int = 0) -> Event:
    """Return the event of a preview."""
    return f"{KIND}.partial_image", {
        "item_id": f"ig_{number}",
        "output_index": number,
        "partial_image_b64": encoded(content),
        "partial_image_index": index,
    }


def done(result: str | None, prompt: str = "", number: int = 0) -> Event:
    """Return the event of an image in base64, or of one that was not made."""
    status = "completed" if result else "failed"
    item = _call(number) | {"status": status, "result": result, "revised_prompt": prompt}
    return "response.output_item.done", {"output_index": number, "item": item}


def image_events(content: bytes, prompt: str = "", number: int = 0) -> list[Event]:
    """Return the events of an image with two previews."""
    previews = [partial(png(f"preview {index}"), index, number) for index in range(2)]
    return [begun(number), *previews, done(encoded(content), prompt, number)]


def encoded(content: bytes) -> str:
    return b64encode(content).decode()


def url_of(streamed: list[Json]) -> str:
    """Return the link to the image that a stream has shown."""
    items = (each["item"] for each in streamed if each["type"] == "thread.item.done")
    return next(item["image"]["url"] for item in items if item["type"] == "generated_image")


def _call(number: int) -> dict[str, Any]:
    return {"id": f"ig_{number}", "type": "image_generation_call", "result": None}


async def draw(app: Running, api: FakeModelApi, content: bytes = FINAL) -> list[Json]:
    api.script(Reply("Here it is.", events=image_events(content, "a red circle")))
    response = await app.chatkit(create("Draw a red circle"))
    assert response.status_code == 200, response.text
    return events(response.text)


async def rows(app: Running, columns: str = "id", table: str = "attachments") -> list[Any]:
    statement = f"SELECT {columns} FROM {table} ORDER BY seq"  # noqa: S608 (the tests' own words)
    found = await app.services.database.read(run_sql, statement)
    return [row[0] if len(row) == 1 else row for row in found]


async def stored_blobs(app: Running) -> list[str]:
    return await app.services.blobs.keys("local")


async def nothing_is_left(app: Running) -> bool:
    await delete_dead_blobs(app.services.database, app.services.blobs)
    left = [*await rows(app), *await rows(app, "key", "dead_blobs"), *await stored_blobs(app)]
    return not left and "generated_image" not in await rows(app, "type", "items")


def everything(connection: Connection) -> str:
    """Return all that the database holds, search's own tables among it."""
    names = inspect(connection).get_table_names()
    return str([run_sql(connection, f'SELECT * FROM "{name}"') for name in names])  # noqa: S608


def of_type(streamed: list[Json], type_: str) -> list[Json]:
    return [event for event in streamed if event["type"] == type_]
