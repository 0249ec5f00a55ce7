"""The login of `docs/customize.md`, seen over HTTP."""

import pytest

from app.settings import Settings
from chatkit_engine.testing import running_app


@pytest.mark.parametrize(
    ("key", "status"), [("a-key-of-ada", 200), ("another", 401), ("", 401), ("é", 401)]
)
async def test_a_user_is_known_by_a_key(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, key: str, status: int
) -> None:
    monkeypatch.setenv("AUTH_MODE", "app")
    monkeypatch.setenv("API_KEYS", '{"ada": "a-key-of-ada"}')
    own = Settings(database_url=settings.database_url)
    async with running_app(own) as app:
        headers = {"Authorization": f"Bearer {key}".encode()}
        answer = await app.http.get("/api/whoami", headers=headers)

    assert answer.status_code == status
    assert status != 200 or answer.json() == {"user": "ada"}
