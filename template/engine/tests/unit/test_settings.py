"""Tests the sources of settings, and what is refused at start."""

from base64 import b64encode, urlsafe_b64encode
from hashlib import md5, sha256
from pathlib import Path
from secrets import token_bytes, token_hex, token_urlsafe
from typing import Any
from urllib.parse import unquote

import pytest
from pydantic import ValidationError
from support.app import SECRET, make_settings

from chatkit_engine.settings.base import settings_errors
from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.secrets import check_secret
from chatkit_engine.settings.urls import parse_database_url

PRODUCTION: dict[str, Any] = {
    "environment": "production",
    "auth_mode": "jwt",
    "jwt_secret": SECRET,
    "openai_api_key": "sk-test",
}


def _problems(**values: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Settings(**values)
    return "; ".join(settings_errors(caught.value))


def test_the_environment_wins_over_the_env_file_and_that_over_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("PORT=1111\nLOG_LEVEL=warning\nUNKNOWN_NAME=1\n")
    monkeypatch.setenv("PORT", "2222")

    settings = Settings()

    assert settings.port == 2222
    assert settings.log_level == "WARNING"
    assert settings.host == "127.0.0.1"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("JWT_SECRET", "")

    assert Settings().openai_api_key is None


@pytest.mark.parametrize("name", ["LLM_MODEL", "OPENAI_MODEL"])
def test_the_model_has_two_names(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "some-model")

    assert Settings().llm_model == "some-model"


@pytest.mark.parametrize(
    "text", ["https://a.example,https://b.example", '["https://a.example", "https://b.example"]']
)
def test_origins_are_a_list_with_commas_or_json(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ALLOWED_ORIGINS", text)

    assert Settings().allowed_origins == ["https://a.example", "https://b.example"]


NO_ORIGINS = [
    *("*", "https://*.example", "app.example", "https://a.example/path", "null", "file:///x", ""),
    *(
        "data:text/html,x",
        "https://",
        "https://ada@a.example",
        "https://a.example?x",
        "//a.example",
    ),
]


@pytest.mark.parametrize("origin", NO_ORIGINS)
def test_an_invalid_origin_is_refused(origin: str) -> None:
    assert "ALLOWED_ORIGINS" in _problems(allowed_origins=[origin])


GUESSABLE = [
    "too-little-of-it",
    "a" * 40,
    "change-me-change-me-change-me-change-me",
    "your-256-bit-secret-your-256-bit-secret",
    "a-string-secret-at-least-256-bits-long",
    "abcdefgh" * 4,
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "thisisasecretkey" * 2,
    "0123456789" * 4,
    "31415926535897932384626433832795",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "django-insecure-m3k!x2vq9w8z7y6t5r4e3w2q1p0o9i8u7y6t",
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
    "supersecretjwtkeythatnobodywillguess",
    "My_Super_Secret_Key_For_JWT_Tokens_2026!",
    "qwertyuiopasdfghjklzxcvbnmqwertyuiop",
    "aB3$aB3$aB3$aB3$aB3$aB3$aB3$aB3$",
    "correct-horse-battery-staple-correct",
    "<replace-with-a-long-random-string-of-32>",
    "deadbeefdeadbeefdeadbeefdeadbeef",
    "1q2w3e4r5t6y7u8i9o0pzaxscdvfbgnh",
    "dev-secret-do-not-share-with-anyone!",
    "MySuperSecureKeyForTestingOnly!!!",
    b64encode(b"your-256-bit-secret-of-mine").decode(),
    urlsafe_b64encode(b"supersecretsupersecretkey").decode().rstrip("="),
    md5(b"", usedforsecurity=False).hexdigest(),
    sha256(b"secret").hexdigest(),
    sha256(b"password").hexdigest().upper(),
]


@pytest.mark.parametrize("secret", GUESSABLE)
def test_a_weak_secret_is_refused_and_not_repeated(secret: str) -> None:
    problems = _problems(auth_mode="jwt", jwt_secret=secret)

    assert "JWT_SECRET" in problems
    assert "openssl rand -hex 32" in problems
    assert secret not in problems


def test_a_random_secret_is_accepted() -> None:
    for _ in range(200):
        for secret in (token_hex(32), token_urlsafe(32), token_bytes(32).hex(":")):
            check_secret(secret)


def test_jwt_mode_needs_a_secret() -> None:
    assert "JWT_SECRET" in _problems(auth_mode="jwt")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.com", "::"])  # noqa: S104
def test_local_mode_refuses_to_listen_to_others(host: str) -> None:
    assert "AUTH_MODE" in _problems(host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_local_mode_listens_on_loopback(host: str) -> None:
    assert Settings(host=host).host == host


def test_production_is_accepted_when_it_is_complete() -> None:
    assert make_settings(**PRODUCTION).is_production


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"auth_mode": "local"}, "AUTH_MODE=jwt"),
        ({"openai_api_key": None}, "OPENAI_API_KEY"),
        ({"llm_provider": "demo"}, "demo"),
    ],
)
def test_production_refuses_settings_for_one_machine(changes: dict[str, Any], names: str) -> None:
    assert names in _problems(**PRODUCTION | changes)


def test_a_provider_without_its_key_is_refused() -> None:
    assert "OPENAI_API_KEY" in _problems(llm_provider="openai")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"llm_provider": "demo", "openai_api_key": "sk-test"},
        {"llm_provider": "gemini", "gemini_api_key": "for-tests-only"},
        {
            "openai_api_key": "sk-test",
            "llm_fallback_provider": "gemini",
            "gemini_api_key": "for-tests-only",
        },
    ],
)
def test_images_are_refused_where_the_provider_makes_none(values: dict[str, Any]) -> None:
    problems = _problems(image_generation=True, **values)

    assert "set LLM_PROVIDER=openai and OPENAI_API_KEY, or IMAGE_GENERATION=false" in problems


def test_images_are_taken_with_openai() -> None:
    assert make_settings(image_generation=True, openai_api_key="sk-test").image_generation


MANY_HOSTS = "postgresql://ada:x@a:5432,b:5432/chat"


@pytest.mark.parametrize("url", ["mysql://host/x", "sqlite://host/x", "no url", "", MANY_HOSTS])
def test_another_kind_of_database_is_refused_in_words(url: str) -> None:
    assert "DATABASE_URL: must be a URL such as" in _problems(database_url=url)


@pytest.mark.parametrize("password", ["p%40s%2Fs%25", "p@s/s%25", "50%off", "p/s"])
def test_a_password_is_read_as_it_is_or_must_be_encoded(password: str) -> None:
    url = f"postgresql+asyncpg://ada:{password}@db.example/chat?channel_binding=require\n"
    if password == "p@s/s%25":
        assert "must have its password percent-encoded" in _problems(database_url=url)
    else:
        parsed = parse_database_url(url)
        assert (parsed.host, parsed.password) == ("db.example", unquote(password))


@pytest.mark.parametrize("name", ["public_url", "upload_endpoint_url", "openai_base_url"])
@pytest.mark.parametrize("url", ["chat.example.com", "ftp://example.com", "https://a b"])
def test_an_invalid_url_is_refused(name: str, url: str) -> None:
    assert f"{name.upper()}: must be a URL such as https://" in _problems(**{name: url})


@pytest.mark.parametrize("name", ["upload_access_key_id", "upload_secret_access_key"])
def test_a_storages_key_has_two_halves(name: str) -> None:
    assert "set both" in _problems(**{name: "for-tests-only"})


def test_a_login_of_the_applications_own_serves_in_production_and_on_other_hosts() -> None:
    own = {"auth_mode": "app", "jwt_secret": None, "host": "0.0.0.0"}  # noqa: S104

    assert make_settings(**PRODUCTION | own).auth_mode == "app"


def test_a_model_of_the_applications_own_needs_no_key_in_production() -> None:
    settings = make_settings(**PRODUCTION | {"llm_provider": "app", "openai_api_key": None})

    assert settings.llm.provider.name == "app"
    assert settings.llm_fallback is None


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104
def test_the_local_login_names_the_others_where_it_cannot_serve(host: str) -> None:
    problems = _problems(**PRODUCTION | {"auth_mode": "local", "host": host})

    assert "AUTH_MODE=jwt" in problems
    assert "AUTH_MODE=app" in problems


ORIGINS = {
    "https://App.Example.com": "https://app.example.com",
    "HTTPS://app.example.com:443/": "https://app.example.com",
    "http://localhost:80": "http://localhost",
    "http://localhost:05173": "http://localhost:5173",
    "https://bücher.example": "https://xn--bcher-kva.example",
    "http://[::1]:3000": "http://[::1]:3000",
    "capacitor://localhost": "capacitor://localhost",
    "ionic://localhost": "ionic://localhost",
    "tauri://localhost": "tauri://localhost",
    "chrome-extension://abcdefghijklmnop": "chrome-extension://abcdefghijklmnop",
    "vscode-webview://0a1b2c": "vscode-webview://0a1b2c",
}


@pytest.mark.parametrize(("written", "sent"), ORIGINS.items())
def test_an_origin_is_kept_as_browsers_send_it(written: str, sent: str) -> None:
    assert Settings(allowed_origins=[written]).allowed_origins == [sent]
