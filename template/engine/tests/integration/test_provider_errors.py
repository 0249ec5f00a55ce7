"""Tests what operators and users are told when a model's provider refuses or fails."""

import json
import socket
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import httpx2
import pytest
from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError
from support.app import running_app, with_provider
from support.cli import cli
from typer.testing import CliRunner, Result

from chatkit_engine.models.provider_errors import explain
from chatkit_engine.models.resilience import BreakerOpen
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.ports import free_port
from chatkit_engine.testing.requests import create, events

KEY = "sk-canary-0123456789"
REFUSED = "the provider refused the key"
REQUEST = httpx2.Request("POST", "https://api.example.com/v1/responses")


def _run(command: str, *arguments: str, url: str, **more: str) -> Result:
    environment = {
        "LLM_PROVIDER": "openai",
        "LLM_BASE_URL": url,
        "LLM_MODEL": "fake",
        "LLM_MAX_RETRIES": "0",
        "OPENAI_API_KEY": KEY,
    }
    return CliRunner().invoke(cli, [command, *arguments], env=environment | more)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, REFUSED),
        (402, "no credit"),
        (403, REFUSED),
        (404, "does not know the model"),
        (429, "limits the requests"),
        (503, "fails with status 503"),
    ],
)
def test_doctor_asks_the_model_once_and_says_what_its_provider_refuses(
    model_api: FakeModelApi, status: int, reason: str
) -> None:
    model_api.default = Reply(status=status)

    result = _run("doctor", url=model_api.url)

    assert result.exit_code == 1
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("FAIL"))
    assert line.startswith("FAIL  model: fake: the provider")
    assert reason in line
    assert len(model_api.requests) == 1
    assert not [word for word in (KEY, "Traceback") if word in result.output]


def test_doctor_is_content_with_a_model_that_answers_and_asks_nothing_offline(
    model_api: FakeModelApi,
) -> None:
    model_api.script(Reply("yes"))

    asked = _run("doctor", url=model_api.url)
    requests = len(model_api.requests)
    offline = _run("doctor", "--offline", url=model_api.url)

    assert (asked.exit_code, offline.exit_code) == (0, 0)
    assert "ok    model: fake at 127.0.0.1" in asked.stdout
    assert requests == len(model_api.requests) == 1


def test_doctor_asks_the_fallback_too(model_api: FakeModelApi) -> None:
    model_api.script(Reply("yes"), Reply(status=404))

    result = _run("doctor", url=model_api.url, LLM_FALLBACK_MODEL="second")

    assert "FAIL  model: second: the provider does not know the model" in result.stdout


def test_doctor_names_a_url_at_which_nothing_listens_or_no_model_answers() -> None:
    nowhere = _run("doctor", url=f"http://127.0.0.1:{free_port()}/v1")
    with _web_page() as url:
        page = _run("doctor", url=url)
    with _silent_socket() as url:
        silent = _run("doctor", url=url, LLM_TIMEOUT_SECONDS="0.5")

    assert "cannot be reached: check LLM_BASE_URL" in nowhere.stdout
    assert "LLM_BASE_URL" in page.stdout
    assert "does not answer" in silent.stdout
    assert not [r for r in (nowhere, page, silent) if "Traceback" in r.output or r.exit_code != 1]


@pytest.mark.parametrize("provider", ["openai", "custom"])
async def test_a_refused_key_is_one_line_of_the_log_and_named_by_readiness(
    settings: Settings,
    model_api: FakeModelApi,
    provider: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model_api.script(Reply(status=401), Reply("Hello"))

    async with running_app(with_provider(settings, model_api, provider)) as app:
        refused = events((await app.chatkit(create("Hello"))).text)
        problem = (await app.http.get("/health/ready")).json()
        await app.chatkit(create("Hello again"))
        mended = (await app.http.get("/health/ready")).json()
    errors = [line for line in capsys.readouterr().err.splitlines() if "[error" in line]

    assert "key" not in refused[-1]["message"]
    assert _model(problem) == f"{provider}'s fake: {REFUSED}"
    assert _model(mended) == "fake"
    assert len(errors) == 1
    assert f"the model did not answer: {REFUSED}" in errors[0]


def test_chat_tells_the_operator_why_the_model_does_not_answer(model_api: FakeModelApi) -> None:
    model_api.default = Reply(status=401)

    result = _run("chat", "Hello", url=model_api.url)

    assert result.exit_code == 1
    assert f"openai's fake: {REFUSED}" in result.stderr
    assert not [word for word in (KEY, "Traceback") if word in result.output]


def _error(status: int, body: Any) -> APIError:
    response = httpx2.Response(status, json=body, request=REQUEST)
    return APIStatusError(json.dumps(body), response=response, body=body)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (_error(400, [{"error": {"message": "API key not valid. Please pass"}}]), REFUSED),
        (_error(400, {"error": {"code": "model_not_found"}}), "does not know the model"),
        (_error(404, {"error": {"code": "DeploymentNotFound"}}), "does not know the model"),
        (_error(429, {"error": {"code": "insufficient_quota"}}), "no credit"),
        (_error(407, None), "HTTPS_PROXY"),
        (_error(422, {"detail": "no such parameter"}), "status 422"),
        (APIError("x", REQUEST, body={"code": "invalid_api_key"}), REFUSED),
        (APITimeoutError(REQUEST), "in time"),
        (APIConnectionError(request=REQUEST), "cannot be reached"),
        (BreakerOpen(), "failed too often"),
        (RuntimeError("a fault of ours"), ""),
    ],
)
def test_what_a_providers_error_means_is_said_in_words(error: Exception, reason: str) -> None:
    assert reason in explain(error)
    assert bool(reason) == bool(explain(error))


def _model(ready: Any) -> str:
    return next(check["detail"] for check in ready["checks"] if check["name"] == "model")


class _Page(BaseHTTPRequestHandler):
    """Answers everything with a page, like the web site of a provider."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Welcome</title>")

    def log_message(self, *_: Any, **__: Any) -> None:
        return


@contextmanager
def _web_page() -> Generator[str]:
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def _silent_socket() -> Generator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
