"""Tests what the log contains, and what it must not contain."""

import base64
import json
import logging

import pytest
from pydantic import BaseModel, SecretStr
from support.app import SECRET, make_settings

from chatkit_engine.observability.logs import configure_logging, hide_secrets, redactor

KEY = "sk-0123456789"
PASSWORD = "hunter2-hunter2"


def test_a_links_token_is_blotted_out() -> None:
    configure_logging(make_settings())
    (handler,) = logging.getLogger().handlers[:1]
    line = '"GET /api/attachments/atc_1/content?x=1&token=eyJ0.eyJz-_dWI.c2ln HTTP/1.1" 200'
    record = logging.LogRecord("uvicorn.access", logging.INFO, __file__, 1, line, (), None)

    text = handler.format(record)

    assert "content?x=1&token=*** HTTP/1.1" in text


@pytest.mark.parametrize(
    "url",
    [
        "/a?%74oken=VALUE",
        "/a?x=1&TOKEN=VALUE&y=2",
        "/a?tok%65n=VALUE",
        "/a?x=%22&%54%4f%4b%45%4e=VALUE",
        '/a?x="&token=VALUE',
        "/a?x=?&q=VALUE",
        "https://api.example.com/v1?api_key=VALUE",
        "https://s3.example.com/f?X-Amz-Signature=VALUE",
        "https://files.example.com/f?X-Goog-Signature=VALUE",
        "https://api.example.com/v1?auth_token=VALUE",
        "https://api.example.com/v1?accessToken=VALUE",
        "https://api.example.com/v1?subscription-key=VALUE",
        "authorization: Bearer VALUE-VALUE",
    ],
)
def test_a_private_parameter_is_blotted_out_however_it_is_written(url: str) -> None:
    configure_logging(make_settings())
    (handler,) = logging.getLogger().handlers[:1]
    line = f'"GET {url} HTTP/1.1" 200'
    record = logging.LogRecord("uvicorn.access", logging.INFO, __file__, 1, line, (), None)

    text = handler.format(record)

    assert "VALUE" not in text
    assert 'HTTP/1.1" 200' in text


def test_search_queries_are_not_logged() -> None:
    configure_logging(make_settings())
    (handler,) = logging.getLogger().handlers[:1]
    line = '127.0.0.1:1 - "GET /api/threads/search?q=my+illness&limit=5 HTTP/1.1" 200'
    record = logging.LogRecord("uvicorn.access", logging.INFO, __file__, 1, line, (), None)

    assert "search?q=***&limit=5 HTTP/1.1" in handler.format(record)


@pytest.mark.parametrize(
    "query", ["q=it's%20VALUE", "q='VALUE'", 'q="VALUE', "q=a;VALUE", "q=<VALUE", "q=a\\VALUE"]
)
def test_the_access_log_redacts_a_query_as_the_server_reads_it(
    query: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(make_settings(), "INFO")
    # As it is at the start. A server that ran in this process before has set its own level.
    logging.getLogger("uvicorn.access").setLevel(logging.NOTSET)
    line = '%s - "%s %s HTTP/%s" %d'
    path = f"/api/threads/search?{query}&limit=5"

    logging.getLogger("uvicorn.access").info(line, "127.0.0.1:1", "GET", path, "1.1", 200)

    output = capsys.readouterr().err
    assert "VALUE" not in output
    assert "search?q=***&limit=5 HTTP/1.1" in output


@pytest.mark.parametrize("environment", ["development", "production"])
def test_a_secret_that_an_error_repeats_is_blotted_out(environment: str) -> None:
    settings = make_settings(
        environment=environment,
        auth_mode="jwt",
        jwt_secret=SECRET,
        openai_api_key=KEY,
        database_url=f"postgresql://chat:{PASSWORD}@localhost/chat",
    )
    configure_logging(settings)
    (handler,) = logging.getLogger().handlers[:1]
    error = RuntimeError(f"Incorrect API key provided: {KEY}")
    failure = (type(error), error, None)
    record = logging.LogRecord(
        "app", logging.ERROR, __file__, 1, f"with {SECRET} {PASSWORD}", (), failure
    )

    text = handler.format(record)

    assert "Incorrect API key provided: ***" in text
    assert KEY not in text
    assert SECRET not in text
    assert PASSWORD not in text


@pytest.mark.parametrize(
    "form",
    [
        "p@ss/wörd%1+x",
        "p%40ss%2Fw%C3%B6rd%251%2Bx",
        "p%40ss%2fw%c3%b6rd%251%2bx",
        "p%40ss/w%C3%B6rd%251%2Bx",
        json.dumps("p@ss/wörd%1+x")[1:-1],
        base64.b64encode("p@ss/wörd%1+x".encode()).decode()[:-2],
        base64.b64encode("ada:p@ss/wörd%1+x".encode()).decode()[6:],
        base64.urlsafe_b64encode("a:p@ss/wörd%1+x!".encode()).decode()[3:21],
    ],
)
def test_a_secret_is_blotted_out_in_every_form(form: str) -> None:
    url = "postgresql://ada:p%40ss%2Fw%C3%B6rd%251%2Bx@127.0.0.1/chat"
    configure_logging(make_settings(database_url=url))

    assert form not in redactor(f"it is {form} here")
    assert "here" in redactor(f"it is {form} here")


def test_short_secrets_leave_words_alone() -> None:
    configure_logging(make_settings(openai_api_key="x", groq_api_key="server"))

    assert redactor("the next server expects text") == "the next server expects text"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("HTTPS_PROXY", "http://ada:proxy-password@proxy:3128", "with proxy-password"),
        ("all_proxy", "socks5://ada:proxy%2Dpassword@proxy", "with proxy-password"),
        ("SMTP_PASSWORD", "sesame-open", "login sesame-open"),
        ("ANY_URL", "https://example.com/?api_key=key-0123456789", "got key-0123456789"),
        ("MCP_SERVERS", '{"a": {"headers": {"X": "Basic YWRhOnNlc2FtZS1vcGVu"}}}', "sesame-open"),
        ("UNRELATED", "", "https://ada:any-password@example.com/path"),
    ],
)
def test_secrets_of_the_environment_are_blotted_out(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, line: str
) -> None:
    monkeypatch.setenv(name, value)
    configure_logging(make_settings())

    assert "***" in redactor(line)
    assert not [word for word in ("password", "sesame", "0123") if word in redactor(line)]


class Deep(BaseModel):
    keys: dict[str, SecretStr]


class FeatureSettings(BaseModel):
    deep: dict[str, Deep]
    mode: SecretStr = SecretStr("on")


def test_a_features_secrets_are_blotted_out_wherever_they_stand() -> None:
    configure_logging(make_settings())
    hide_secrets(FeatureSettings(deep={"one": Deep(keys={"authorization": SecretStr(KEY)})}))
    (handler,) = logging.getLogger().handlers[:1]
    record = logging.LogRecord("app", logging.ERROR, __file__, 1, f"on with {KEY}", (), None)

    text = handler.format(record)

    assert KEY not in text
    assert "on with ***" in text
