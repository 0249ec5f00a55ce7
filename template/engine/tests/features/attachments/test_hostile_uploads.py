"""Hostile uploads are refused with a message and leave nothing behind, or are harmless."""

import asyncio
import json
import struct
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import jwt
import pytest
from features.attachments.files import (
    GIF,
    JPEG,
    PDF,
    PNG,
    WEBP,
    announce,
    announced,
    image,
    png,
    png_chunk,
    put,
    rows,
    sent,
    stored_bytes,
    upload,
    uploaded,
)
from support.app import SECRET, Running, make_settings, running_app

from chatkit_engine.security.authentication import issue_token
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.requests import Json, op

KIB = 1024
HTML = b"<!doctype html><script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
MAX_BYTES = 64 * KIB

REFUSED: dict[str, tuple[int, bytes, str]] = {
    "empty": (422, b"", "image/png"),
    "too large": (413, b"x" * (MAX_BYTES + 1), "text/plain"),
    "HTML as PNG": (415, HTML, "image/png"),
    "HTML as HTML": (415, HTML, "text/html"),
    "SVG as PNG": (415, SVG, "image/png"),
    "SVG as SVG": (415, SVG, "image/svg+xml"),
    "BMP": (415, image("BMP"), "image/bmp"),
    "BMP as PNG": (415, image("BMP"), "image/png"),
    "TIFF": (415, image("TIFF"), "image/tiff"),
    "TIFF as JPEG": (415, image("TIFF"), "image/jpeg"),
    "ICO": (415, image("ICO", (16, 16)), "image/x-icon"),
    "JPEG as PNG": (415, JPEG, "image/png"),
    "PNG as text": (415, PNG, "text/plain"),
    "PDF as text": (415, PDF, "text/plain"),
    "PNG as PDF": (415, PNG, "application/pdf"),
    "an executable": (415, b"MZ\x90\x00", "application/x-msdownload"),
    "an executable as text": (415, b"MZ\x90\x00", "text/plain"),
    "text with a NUL": (415, b"a\x00b", "text/plain"),
    "text that is not UTF-8": (415, b"caf\xe9", "text/csv"),
    "text cut in a character": (415, "é".encode()[:1], "application/json"),
    "no type and no ending": (415, b"hello", ""),
    "a type with junk": (415, PNG, "image/png/../../x"),
    "a GIF that is a script": (
        422,
        b"GIF89a/*<svg/onload=alert(1)>*/=alert(document.domain)//;",
        "image/gif",
    ),
    "a GIF with a script behind": (422, GIF + b"alert(1)//", "image/gif"),
    "a PNG with HTML behind": (422, PNG + HTML, "image/png"),
    "a WebP with HTML behind": (422, WEBP + HTML, "image/webp"),
    "HTML before a PDF": (415, HTML + PDF, "application/pdf"),
    "a PDF without an end": (422, PDF[:-8], "application/pdf"),
    "a truncated PNG": (422, image("PNG", (64, 64))[:-20], "image/png"),
    "a truncated JPEG": (422, image("JPEG", (64, 64))[:-20], "image/jpeg"),
    "a truncated WebP": (422, WEBP[:-8], "image/webp"),
    "a PNG header alone": (422, PNG[:8], "image/png"),
    "a JPEG header alone": (422, JPEG[:3], "image/jpeg"),
    "a GIF header alone": (422, GIF[:6], "image/gif"),
    "a PNG with a wrong checksum": (422, PNG.replace(b"IDAT", b"IDAT\x00"), "image/png"),
    "a pixel bomb": (422, png(width=30_000, height=30_000), "image/png"),
    "a bomb past Pillow's own limit": (422, png(width=2**31 - 1, height=2**31 - 1), "image/png"),
    "a long side": (422, png(width=20_001, height=1), "image/png"),
    "no width": (422, png(width=0, height=1), "image/png"),
    "a text bomb": (
        422,
        png((b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 32 * KIB * KIB))),
        "image/png",
    ),
    "a chunk of 2 GiB": (422, PNG[:8] + struct.pack(">I", 2**31 - 1) + b"IHDR", "image/png"),
    "a broken EXIF": (422, png_chunk(b"eXIf", b"\xff" * 64).join((PNG[:33], b"")), "image/png"),
}


@pytest.fixture
async def app(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Running]:
    """The app with a low limit, so that what is too large is quickly made."""
    monkeypatch.setenv("UPLOAD_MAX_BYTES", str(MAX_BYTES))
    async with running_app(settings) as running:
        yield running


def _check_refusal(response: httpx2.Response, status: int) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"]
    for trace in ("Traceback", "Error", "Exception", "PIL", "site-packages"):
        assert trace not in response.text


async def _check_nothing_left(app: Running) -> None:
    assert await rows(app) == []
    assert await rows(app, "key", "dead_blobs") == []
    assert stored_bytes() == []


@pytest.mark.parametrize(("status", "content", "type_"), REFUSED.values(), ids=REFUSED)
async def test_a_file_is_refused_and_leaves_nothing(
    app: Running, status: int, content: bytes, type_: str
) -> None:
    _check_refusal(await upload(app, content, "x", type_), status)
    await _check_nothing_left(app)


@pytest.mark.parametrize(
    "case", [name for name, (status, content, _) in REFUSED.items() if status != 413 and content]
)
async def test_an_announced_file_is_refused_too_and_leaves_no_bytes(
    app: Running, case: str
) -> None:
    status, content, type_ = REFUSED[case]
    answer = await announce(app, len(content), "x", type_)
    if answer.status_code == 200:
        answer = await put(app, answer.json(), content)

    _check_refusal(answer, status)
    assert await rows(app, "size") in ([], [None])
    assert await rows(app, "key", "dead_blobs") == []
    assert stored_bytes() == []


@pytest.mark.parametrize(
    ("content", "type_"),
    [
        (PDF.replace(b"trailer", HTML + b"\ntrailer"), "application/pdf"),
        (JPEG + HTML, "image/jpeg"),
        (HTML, "text/plain"),
    ],
    ids=["PDF with HTML in it", "JPEG with HTML behind", "HTML as text"],
)
async def test_a_file_that_is_also_valid_html_is_never_shown_as_a_page(
    app: Running, content: bytes, type_: str
) -> None:
    attachment = await uploaded(app, content, "page.html", type_)
    stored = (await app.http.get(f"/api/attachments/{attachment['id']}")).json()

    response = await app.http.get(stored["url"])

    assert response.content == content
    assert response.headers["content-type"].partition(";")[0] == type_
    assert response.headers["x-content-type-options"] == "nosniff"
    policy = response.headers["content-security-policy"]
    assert policy == "sandbox; default-src 'none'; frame-ancestors 'none'"
    shown = "inline" if type_ == "image/jpeg" else "attachment"
    assert response.headers["content-disposition"].partition(";")[0] == shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("/absolute/photo.png", "photo.png"),
        ("..", "file"),
        ("", "file"),
        ("a\x07b\x7f\x85.png", "ab.png"),
        ("a\r\nSet-Cookie: x=1\r\n\r\n<html>.png", "aSet-Cookie: x=1<html>.png"),
        ('a"; filename="evil.exe', 'a"; filename="evil.exe'),
        ("photo\u202egnp.exe", "photognp.exe"),
        ("\u2066\u2069\u200fphoto.png", "photo.png"),
        ("two\u2028lines", "twolines"),
        ("x" * 1000, "x" * 255),
        ("äöü 聊天 😀.png", "äöü 聊天 😀.png"),
    ],
)
async def test_a_file_name_is_only_shown(app: Running, given: str, shown: str) -> None:
    attachment = await announced(app, name=given)
    assert attachment["name"] == shown
    assert (await put(app, attachment, PNG)).status_code == 204

    response = await app.http.get(attachment["preview_url"])

    assert response.status_code == 200
    assert "set-cookie" not in response.headers
    header = response.headers["content-disposition"]
    assert header.startswith('inline; filename="')
    assert header.count('"') == 2
    assert header.isascii()
    assert stored_bytes() == [attachment["id"]]


async def test_a_name_with_a_nul_is_refused(app: Running) -> None:
    _check_refusal(await announce(app, len(PNG), "a\x00b.png"), 400)
    await _check_nothing_left(app)


async def test_a_file_name_in_a_form_is_only_shown(app: Running) -> None:
    attachment = await uploaded(app, PNG, '../../\u202e"evil\r\n.png')

    assert "/" not in attachment["name"]
    assert "\u202e" not in attachment["name"]
    assert "\r" not in attachment["name"]
    assert stored_bytes() == [attachment["id"]]


FORM_TYPE = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
FORMS: dict[str, tuple[int, str, bytes]] = {
    "no boundary": (400, "multipart/form-data", PART),
    "nothing": (422, FORM_TYPE, b""),
    "no form": (400, FORM_TYPE, b"not a form"),
    "no end": (422, FORM_TYPE, PART + b"\r\n" + PNG),
    "no file name": (
        422,
        FORM_TYPE,
        b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nhello\r\n--x--\r\n',
    ),
    "a header without an end": (400, FORM_TYPE, b"--x\r\n" + b"A" * 20 * KIB),
    "an unknown charset": (422, f"{FORM_TYPE}; charset=rot13", b"--x--\r\n"),
    "JSON": (415, "application/json", b"{}"),
    "plain text": (415, "text/plain", b"hello"),
    "an encoded form": (415, "application/x-www-form-urlencoded", b"file=hello"),
    "too large": (413, FORM_TYPE, PART + b"\r\n" + b"x" * (MAX_BYTES + 128 * KIB) + b"\r\n--x--"),
}


@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("status", "type_", "body"), FORMS.values(), ids=FORMS)
async def test_a_malformed_form_is_refused(
    app: Running, status: int, type_: str, body: bytes
) -> None:
    headers = {"Content-Type": type_}

    _check_refusal(await app.http.post("/api/attachments", content=body, headers=headers), status)
    await _check_nothing_left(app)


async def test_a_form_without_a_size_is_counted(app: Running) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield PART + b"\r\n"
        while True:
            yield b"x" * KIB

    response = await app.http.post(
        "/api/attachments", content=endless(), headers={"Content-Type": FORM_TYPE}
    )

    _check_refusal(response, 413)
    await _check_nothing_left(app)


async def test_another_field_and_a_second_file_are_refused(app: Running) -> None:
    file = ("a.png", PNG, "image/png")

    other = await app.http.post("/api/attachments", files={"photo": file})
    two = await app.http.post("/api/attachments", files=[("file", file), ("file", file)])

    _check_refusal(other, 422)
    _check_refusal(two, 400)
    await _check_nothing_left(app)


@pytest.mark.parametrize(
    ("size", "status"), [(0, 422), (-1, 422), (MAX_BYTES + 1, 413), (10**30, 413)]
)
async def test_a_size_out_of_bounds_is_refused_when_it_is_announced(
    app: Running, size: int, status: int
) -> None:
    _check_refusal(await announce(app, size), status)
    await _check_nothing_left(app)


async def test_too_many_bytes_are_refused_while_they_arrive(app: Running) -> None:
    attachment = await announced(app, len(PNG))

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield PNG

    for content in (PNG + b"x", endless()):
        _check_refusal(await put(app, attachment, content), 413)

    assert stored_bytes() == []
    assert (await put(app, attachment, PNG)).status_code == 204


async def test_too_few_bytes_are_refused_and_may_be_sent_again(app: Running) -> None:
    attachment = await announced(app, len(PNG))

    for content in (PNG[:-1], b""):
        _check_refusal(await put(app, attachment, content), 422)

    assert stored_bytes() == []
    assert (await put(app, attachment, PNG)).status_code == 204


async def test_a_second_upload_is_refused_and_changes_nothing(app: Running) -> None:
    attachment = await announced(app, len(PNG))
    assert (await put(app, attachment, PNG)).status_code == 204

    _check_refusal(await put(app, attachment, PNG), 409)

    assert (await app.http.get(attachment["preview_url"])).content == PNG


async def test_of_two_uploads_at_once_one_wins(app: Running) -> None:
    other = image("PNG", (3, 4)).ljust(len(PNG), b"\0")
    attachment = await announced(app, len(PNG))
    within: list[httpx2.Response] = []

    async def slow() -> AsyncIterator[bytes]:
        yield PNG[:10]
        within.append(await put(app, attachment, PNG))
        yield other[10:]

    _check_refusal(await put(app, attachment, slow()), 409 if len(other) == len(PNG) else 413)

    assert within[0].status_code == 204
    assert (await app.http.get(attachment["preview_url"])).content == PNG


async def test_a_file_is_not_readable_before_its_upload(app: Running) -> None:
    attachment = await announced(app)

    read = await app.http.get(attachment["preview_url"])
    message = await app.chatkit(sent("Look", attachment))

    _check_refusal(read, 404)
    _check_refusal(message, 409)
    assert "not uploaded yet" in message.text
    assert (await app.chatkit(op("threads.list"))).json()["data"] == []
    assert await rows(app, "thread_id") == [None]


def _token(**changes: Any) -> str:
    claims = {"sub": "local", "aud": "download", "exp": datetime.now(UTC) + timedelta(hours=1)}
    return jwt.encode(claims | changes, SECRET, algorithm="HS256")


def _with_token(url: str, token: str) -> str:
    return f"{url.partition('?')[0]}?token={token}"


@pytest.mark.parametrize(
    "token", ["x", "a.b.c", "é", "%00", "x" * 10_000, _token(), _token(exp=1), _token(sub=None)]
)
async def test_a_forged_link_is_refused(app: Running, token: str) -> None:
    image_ = await uploaded(app)
    announced_ = await announced(app)

    read = await app.http.get(_with_token(image_["preview_url"], token))
    written = await app.http.put(
        _with_token(announced_["upload_descriptor"]["url"], token), content=PNG
    )

    for response in (read, written):
        _check_refusal(response, 403)
        assert "new one" in response.json()["detail"]


async def test_a_link_without_its_token_is_refused(app: Running) -> None:
    attachment = await uploaded(app)

    for token in ("", "&token="):
        _check_refusal(await app.http.get(_with_token(attachment["preview_url"], token)), 401)
    _check_refusal(await app.http.put(f"/api/attachments/{attachment['id']}/content"), 401)


async def test_a_link_serves_one_purpose_and_one_file(app: Running) -> None:
    first, second = await announced(app), await announced(app)
    upload_token = first["upload_descriptor"]["url"].partition("token=")[2]
    download_token = first["preview_url"].partition("token=")[2]

    answers = [
        await app.http.get(_with_token(first["preview_url"], upload_token)),
        await app.http.put(_with_token(first["preview_url"], download_token), content=PNG),
        await app.http.put(_with_token(second["preview_url"], upload_token), content=PNG),
        await app.http.get(_with_token(second["preview_url"], download_token)),
    ]

    for answer in answers:
        _check_refusal(answer, 403)
    assert await rows(app, "size") == [None, None]


async def test_an_old_link_is_refused_with_what_to_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPLOAD_LINK_SECONDS", "1")
    async with running_app(settings.model_copy(update={"download_link_seconds": 1})) as app:
        attachment = await announced(app)
        await asyncio.sleep(1.1)

        for response in (
            await put(app, attachment, PNG),
            await app.http.get(attachment["preview_url"]),
        ):
            _check_refusal(response, 403)
            assert "expired" in response.json()["detail"]


@pytest.fixture
async def jwt_app() -> AsyncGenerator[Running]:
    settings = make_settings(
        database_url="sqlite:///:memory:", auth_mode="jwt", jwt_secret=SECRET, log_level="INFO"
    )
    async with running_app(settings) as running:
        yield running


def _as(user: str) -> dict[str, str]:
    settings = make_settings(auth_mode="jwt", jwt_secret=SECRET)
    token = issue_token(settings, user, timedelta(hours=1))
    return {"Authorization": f"Bearer {token}"}


async def _adas(app: Running) -> Json:
    return (await upload(app, PNG, headers=_as("ada"))).json()


async def test_another_users_file_looks_like_a_missing_one(jwt_app: Running) -> None:
    http, eve = jwt_app.http, _as("eve")
    waiting = (await announce(jwt_app, len(PNG), headers=_as("ada"))).json()["id"]
    theirs = (await _adas(jwt_app))["id"]

    for request in (
        json.dumps(sent("Look", {"id": "ID"})),
        json.dumps(op("attachments.delete", attachment_id="ID")),
    ):
        answers = [
            await http.post("/chatkit", content=request.replace("ID", named), headers=eve)
            for named in (theirs, waiting, "atc_unknown")
        ]
        for answer in answers:
            _check_refusal(answer, 404)
        assert len({answer.content for answer in answers}) == 1
    for named in (theirs, waiting, "atc_unknown"):
        _check_refusal(await http.get(f"/api/attachments/{named}", headers=eve), 404)

    assert await rows(jwt_app, "thread_id") == [None, None]
    assert len(stored_bytes()) == 1
    listed = await http.post("/chatkit", json=op("threads.list"), headers=eve)
    assert listed.json()["data"] == []


async def test_tokens_of_users_and_of_links_are_not_mixed_up(jwt_app: Running) -> None:
    attachment = await _adas(jwt_app)
    url, _, link_token = attachment["preview_url"].partition("?token=")
    bearer = _as("ada")["Authorization"].removeprefix("Bearer ")
    forged = _token(sub="ada", attachment=attachment["id"])

    for token in (bearer, forged):
        _check_refusal(await jwt_app.http.get(_with_token(url, token)), 403)
    headers = {"Authorization": f"Bearer {link_token}"}
    _check_refusal(await jwt_app.http.get("/api/threads", headers=headers), 401)
    _check_refusal(await jwt_app.http.get(url, headers=_as("ada")), 401)


async def test_a_link_to_a_deleted_file_gives_nothing(jwt_app: Running) -> None:
    attachment = await _adas(jwt_app)
    body = op("attachments.delete", attachment_id=attachment["id"])
    assert (await jwt_app.http.post("/chatkit", json=body, headers=_as("ada"))).status_code == 200

    _check_refusal(await jwt_app.http.get(attachment["preview_url"]), 404)
    assert stored_bytes() == []


async def test_an_upload_needs_a_token(jwt_app: Running) -> None:
    _check_refusal(await upload(jwt_app, PNG), 401)
    await _check_nothing_left(jwt_app)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "http://localhost:3000", "Sec-Fetch-Site": "cross-site"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
async def test_a_page_of_another_site_cannot_upload(
    app: Running, headers: dict[str, str], status: int
) -> None:
    response = await upload(app, PNG, headers=headers)

    assert response.status_code == status
    if status != 200:
        _check_refusal(response, status)
        await _check_nothing_left(app)


@pytest.mark.parametrize("host", ["a b", "<script>", "a/../b", "x" * 300, "[", "a:99999"])
async def test_a_strange_host_breaks_no_link(jwt_app: Running, host: str) -> None:
    response = await upload(jwt_app, PNG, headers=_as("ada") | {"Host": host})

    assert response.status_code < 500
