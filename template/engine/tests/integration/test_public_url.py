"""Links to files begin with PUBLIC_URL, or with the host of a request that names this machine."""

from typing import Any

import pytest
from support.app import LOCAL, make_settings, running_app

from chatkit_engine.application import create_app
from chatkit_engine.settings.base import SetupError
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.app import SECRET, bearer, with_jwt

FILE = {"file": ("a.txt", b"hello", "text/plain")}


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.7:8000"])
async def test_a_host_that_a_client_names_is_in_no_link(settings: Settings, host: str) -> None:
    jwt = with_jwt(settings)
    async with running_app(jwt) as app:
        user = bearer(jwt, "ada")
        refused = await app.http.post("/api/attachments", files=FILE, headers=user | {"Host": host})
        threads = await app.http.get("/api/threads", headers=user | {"Host": host})
        local = await app.http.post("/api/attachments", files=FILE, headers=user)

    assert refused.status_code == 421
    assert refused.json()["code"] == "public_url_missing"
    assert "PUBLIC_URL" in refused.json()["detail"]
    assert threads.status_code == 200
    assert local.status_code == 200
    found = (await _describe(jwt, user, local.json()["id"]))["url"]
    assert found.startswith(f"{LOCAL}/")


async def _describe(settings: Settings, user: dict[str, str], file_id: str) -> dict[str, Any]:
    async with running_app(settings) as app:
        return (await app.http.get(f"/api/attachments/{file_id}", headers=user)).json()


async def test_public_url_wins_over_the_host(settings: Settings) -> None:
    public = settings.model_copy(update={"public_url": "https://chat.example.com/base/"})
    jwt = with_jwt(public)
    async with running_app(jwt) as app:
        user = bearer(jwt, "ada")
        sent = await app.http.post(
            "/api/attachments", files=FILE, headers=user | {"Host": "evil.example"}
        )
        described = await app.http.get(f"/api/attachments/{sent.json()['id']}", headers=user)

    assert described.json()["url"].startswith("https://chat.example.com/base/api/attachments/")


def test_production_with_files_does_not_start_without_a_public_url() -> None:
    settings = make_settings(
        environment="production", auth_mode="jwt", jwt_secret=SECRET, openai_api_key="sk-test"
    )
    with pytest.raises(SetupError, match="PUBLIC_URL"):
        create_app(settings, "sample")
