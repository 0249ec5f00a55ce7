"""Files to upload, and the requests of a front end that uploads them."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import httpx2
from PIL import Image
from support.app import Running
from support.sql import run_sql

from chatkit_engine.testing.requests import Json, message, op

PDF = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"


def image(kind: str, size: tuple[int, int] = (4, 3)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, kind)
    return buffer.getvalue()


PNG = image("PNG")
JPEG = image("JPEG")
GIF = image("GIF")
WEBP = image("WEBP")


def png_chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def png(*chunks: tuple[bytes, bytes], width: int = 1, height: int = 1) -> bytes:
    """Return a PNG with this header, followed by more chunks."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"\0\0")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts)


async def upload(
    app: Running, content: bytes, name: str = "photo.png", type_: str = "image/png", **request: Any
) -> httpx2.Response:
    """Upload directly: a form with the file."""
    files = {"file": (name, content, type_)}
    return await app.http.post("/api/attachments", files=files, **request)


async def uploaded(
    app: Running, content: bytes = PNG, name: str = "photo.png", type_: str = "image/png"
) -> Json:
    response = await upload(app, content, name, type_)
    assert response.status_code == 200, response.text
    return response.json()


async def announce(
    app: Running, size: int, name: str = "photo.png", type_: str = "image/png", **request: Any
) -> httpx2.Response:
    """Begin a two-phase upload."""
    body = op("attachments.create", name=name, size=size, mime_type=type_)
    return await app.http.post("/chatkit", json=body, **request)


async def announced(
    app: Running, size: int = len(PNG), name: str = "photo.png", type_: str = "image/png"
) -> Json:
    response = await announce(app, size, name, type_)
    assert response.status_code == 200, response.text
    return response.json()


async def put(app: Running, attachment: Json, content: Any) -> httpx2.Response:
    """End a two-phase upload."""
    descriptor = attachment["upload_descriptor"]
    return await app.http.request(
        descriptor["method"], descriptor["url"], content=content, headers=descriptor["headers"]
    )


def sent(text: str, *attachments: Json) -> Json:
    """Return the request that opens a thread with a message and its attachments."""
    ids = [attachment["id"] for attachment in attachments]
    return op("threads.create", input=message(text, *ids))


def stored_bytes() -> list[str]:
    """Return the names of all the files that the local storage holds."""
    return [path.name for path in Path("data/uploads").rglob("*") if path.is_file()]


async def rows(app: Running, columns: str = "id", table: str = "attachments") -> list[Any]:
    statement = f"SELECT {columns} FROM {table} ORDER BY seq"  # noqa: S608 (the tests' own words)
    found = await app.services.database.read(run_sql, statement)
    return [row[0] if len(row) == 1 else row for row in found]
