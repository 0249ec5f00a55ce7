"""Walks every command through every way in which a start fails, and looks for secrets.

Each secret setting has a canary. Nothing that a process writes may contain one, in any form.
"""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote, quote_plus

import httpx2
import pytest
import typer
from support.app import TESTS, running_server
from support.cli import cli
from typer.testing import CliRunner

from chatkit_engine.cli.commands import create_cli

# With characters that URLs, JSON, logs and regular expressions write differently.
CANARIES = {
    name: f"{name}$can@ry/é%21+'Zq7"
    for name in ("database", "s3", "mcpheader", "mcpenv", "proxy", "httpproxy", "smtp")
} | {
    name: f"{name}-canary-Zq7Xw9Rk2Lm4Vb8Tn3Hs6"
    for name in (
        *("openai", "gemini", "groq", "openrouter", "azure", "llm", "embedding", "qdrant"),
        *("jwt", "mcpurl", "modelurl", "bearer", "aws"),
    )
}
C = CANARIES
MCP = {
    "remote": {
        "url": f"http://127.0.0.1:9/mcp?key={C['mcpurl']}",
        "headers": {
            "X-Key": C["mcpheader"].replace("é", "e"),
            "Authorization": f"Bearer {C['bearer']}",
        },
    },
    "local": {"command": "nowhere-at-all", "env": {"TOKEN": C["mcpenv"]}},
}
NOWHERE = "http://127.0.0.1:9"
SECRETS = {
    "JWT_SECRET": C["jwt"],
    "OPENAI_API_KEY": C["openai"],
    "GEMINI_API_KEY": C["gemini"],
    "GROQ_API_KEY": C["groq"],
    "OPENROUTER_API_KEY": C["openrouter"],
    "AZURE_OPENAI_API_KEY": C["azure"],
    "LLM_API_KEY": C["llm"],
    "EMBEDDING_API_KEY": C["embedding"],
    "EMBEDDING_MODEL": "local",
    "QDRANT_API_KEY": C["qdrant"],
    "UPLOAD_ACCESS_KEY_ID": "access",
    "UPLOAD_SECRET_ACCESS_KEY": C["s3"],
    "AWS_SECRET_ACCESS_KEY": C["aws"],
    "MCP_SERVERS": json.dumps(MCP),
    "MCP_OWN_SERVER": "false",
    "ALL_PROXY": f"http://ada:{quote(C['proxy'], safe='')}@127.0.0.1:9",
    "HTTPS_PROXY": f"http://ada:{quote(C['httpproxy'], safe='')}@127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
    "SMTP_PASSWORD": C["smtp"],
}
COMMON = SECRETS | {
    "AUTH_MODE": "jwt",
    "PUBLIC_URL": "https://chat.example.com",
    "LLM_PROVIDER": "openai",
    "LLM_BASE_URL": f"{NOWHERE}/v1?api_key={C['modelurl']}",
    "LLM_MAX_RETRIES": "0",
    "LOG_LEVEL": "DEBUG",
}
ENVIRONMENTS = ("development", "production")
PASSWORD = quote(C["database"], safe="")

Variables = dict[str, str]


def _commands() -> Iterator[list[str]]:
    """Yield each command of the sample application, with arguments."""
    arguments = {
        "chat": ["Hello"],
        "doctor": [],
        "migrate": [],
        "move": ["--from", "sqlite:///source.db"],
        "export": ["--user", "ada"],
        "erase": ["--user", "ada", "--yes"],
        "usage": ["--user", "ada"],
        "ingest": ["documents"],
        "evaluate": ["documents"],
        "serve": [],
        "token": ["--user", "ada"],
    }
    for name in typer.main.get_command(cli).commands:  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
        if name in arguments:
            yield [name, *arguments[name]]


def _database_away() -> Variables:
    return {"DATABASE_URL": f"postgresql://ada:{PASSWORD}@127.0.0.1:9/chat"}


def _query_password() -> Variables:
    return {"DATABASE_URL": f"postgresql://ada@127.0.0.1:9/chat?password={PASSWORD}"}


def _password_not_encoded() -> Variables:
    return {"DATABASE_URL": f"postgresql://ada:{C['database']}@127.0.0.1:9/chat"}


def _no_folder() -> Variables:
    return {"DATABASE_URL": "sqlite:////proc/nowhere/chat.db"}


def _no_database() -> Variables:
    Path("other.db").write_text(f"{C['jwt']} is not a database " * 100)
    return {"DATABASE_URL": "sqlite:///other.db"}


def _broken_env_file() -> Variables:
    Path(".env").write_text(f"{C['openai']}\nOPENAI_APIKEY={C['openai']}\nX Y={C['s3']}\n='\n")
    return {}


def _env_file_of_another_encoding() -> Variables:
    Path(".env").write_text(f"JWT_SECRET={C['jwt']}é\n", "utf-16")
    return {}


def _invalid_settings() -> Variables:
    return {
        "PORT": C["openai"],
        "JWT_SECRET": f"password{C['jwt']}",
        "GROQ_API_KEY": f"{C['groq']}é",
        "MCP_SERVERS": json.dumps(MCP)[:-1],
        "LLM_PRICES": C["llm"],
        "QDRANT_URL": f"http://ada:{PASSWORD}@127.0.0.1:9",
        "UPLOAD_ENDPOINT_URL": f"http://ada:{PASSWORD}@127.0.0.1:9",
        "ALLOWED_ORIGINS": f"http://ada:{PASSWORD}@127.0.0.1:9",
    }


def _wrong_feature_settings() -> Variables:
    servers = MCP | {
        "third": {"url": "nonsense", "headers": {"X": C["mcpheader"]}, "key": C["llm"]}
    }
    return {"MCP_SERVERS": json.dumps(servers), "SEARCH_RESULTS": C["openai"]}


def _bucket_away() -> Variables:
    return {"UPLOAD_BUCKET": "files", "UPLOAD_ENDPOINT_URL": NOWHERE}


def _qdrant_away() -> Variables:
    return {"VECTOR_STORE": "qdrant", "QDRANT_URL": NOWHERE}


# What is said of each: without it, something else would have failed before.
FAILURES = {
    _database_away: "cannot be reached",
    _query_password: "cannot be reached",
    _password_not_encoded: "percent-encoded",
    _no_folder: "DATABASE_URL",
    _no_database: "is damaged, or is no database",
    _broken_env_file: "nothing reads OPENAI_APIKEY",
    _env_file_of_another_encoding: ".env is not UTF-8",
    _invalid_settings: "JWT_SECRET: is a placeholder",
    _wrong_feature_settings: "MCP_SERVERS",
    _bucket_away: "",
    _qdrant_away: "",
}
# `serve` starts with these, the first one in development only.
STARTING = (_broken_env_file, _bucket_away, _qdrant_away)


def _run(arguments: list[str], environment: str, variables: Variables) -> str:
    values = COMMON | {"ENVIRONMENT": environment} | variables
    return CliRunner().invoke(cli, arguments, env=values).output


def _shown(output: str) -> list[str]:
    """Return the names of the canaries in the output, in whatever form."""
    return [
        name
        for name, secret in CANARIES.items()
        for form in {
            *(secret, secret.replace("é", "e"), quote(secret), quote(secret, safe="")),
            *(quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]),
            base64.b64encode(f"ada:{secret}".encode()).decode()[8:-4],
        }
        if form in output
    ]


@pytest.fixture(autouse=True)
def documents(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "one.md").write_text("# One\n\nText.\n")
    questions = [{"question": "One?", "answers": ["one.md"]}]
    (folder / "questions.json").write_text(json.dumps(questions))
    (tmp_path / "source.db").touch()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("failure", FAILURES)
def test_no_command_shows_a_secret_when_it_fails(failure: Any, environment: str) -> None:
    variables = failure()
    commands = list(_commands())
    if failure in STARTING:
        commands.remove(["serve"])

    outputs = {tuple(each): _run(each, environment, variables) for each in commands}

    assert {command: _shown(output) for command, output in outputs.items() if _shown(output)} == {}
    assert FAILURES[failure] in outputs["doctor",]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_command_shows_what_a_database_or_a_provider_repeats(environment: str) -> None:
    with _refusing_postgresql() as port, _refusing_provider() as url:
        wrong = {"DATABASE_URL": f"postgresql://ada:{PASSWORD}@127.0.0.1:{port}/chat"}
        embeddings = {"EMBEDDING_MODEL": "small", "EMBEDDING_DIMENSIONS": "8"}
        refused = embeddings | {"LLM_BASE_URL": url, "EMBEDDING_BASE_URL": url}
        outputs = [
            *(_run(command, environment, wrong) for command in _commands()),
            *(_run(["migrate"], environment, refused), _run(["doctor"], environment, refused)),
            *(_run(["chat", "Hello"], environment, refused),),
            *(_run(["ingest", "documents"], environment, refused),),
        ]

    assert _shown("".join(outputs)) == []
    assert "refuses the login" in outputs[0] + outputs[1]
    assert "the provider refused the key" in "".join(outputs)


def test_a_broken_defaults_file_is_named_without_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "canaryapp"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "settings.py").write_text(
        "from pathlib import Path\n"
        "from pydantic_settings import SettingsConfigDict\n"
        "import chatkit_engine\n"
        "class Settings(chatkit_engine.Settings):\n"
        "    model_config = SettingsConfigDict(\n"
        "        toml_file=Path(__file__).with_name('defaults.toml')\n"
        "    )\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for broken in (f'openai_api_key = "{C["openai"]}', f"jwt_secret = {C['jwt']}", f"[{C['s3']}"):
        (folder / "defaults.toml").write_text(f"port = 1\n{broken}\n")
        for command in ("serve", "doctor", "migrate"):
            result = CliRunner().invoke(create_cli("canaryapp"), [command])
            assert "defaults.toml is not valid TOML: correct line 2" in result.output
            assert result.exit_code == 1
            assert _shown(result.output) == []


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_port_in_use_is_named_without_a_secret(environment: str) -> None:
    _run(["migrate"], environment, {})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        output = _run(["serve"], environment, {"PORT": port})

    assert f"Port {port} is in use" in output
    assert _shown(output) == []


@pytest.mark.slow
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_server_shows_no_secret_from_its_start_to_its_end(
    environment: str, tmp_path: Path
) -> None:
    """With a bucket, MCP servers and a provider that are away, and a client who asks."""
    values = COMMON | _bucket_away() | {"ENVIRONMENT": environment}
    _run(["migrate"], environment, values)
    token = _run(["token", "--user", "ada"], environment, values).strip()
    with running_server(tmp_path, **values) as server:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=server.url, headers=headers) as client:
            client.get("/health/ready")
            client.post("/api/chat", json={"message": "Hello"})
            client.get(f"/api/threads?key={C['openai']}")
        server.signal(signal.SIGTERM)
        server.process.wait(30)
    output = server.log.read_text()

    assert _shown(output) == []
    assert token not in output
    if environment == "production":
        assert all(json.loads(line)["event"] for line in output.splitlines())


@pytest.mark.slow
def test_a_process_that_does_not_start_shows_no_secret_and_logs_json() -> None:
    values = COMMON | _invalid_settings() | {"ENVIRONMENT": "production"}
    command = [sys.executable, "-c", "from chatkit_engine.cli import main; main('sample')", "serve"]
    child = subprocess.run(
        command, env=_environment(values), capture_output=True, text=True, check=False
    )

    output = child.stdout + child.stderr
    assert child.returncode == 1
    assert _shown(output) == []
    assert "Traceback" not in output
    assert all(json.loads(line)["event"] for line in output.splitlines())


def _environment(values: Variables) -> Variables:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return kept | {"PYTHONPATH": str(TESTS)} | values


@contextmanager
def _refusing_postgresql() -> Generator[int]:
    """A server that refuses each login, and repeats the connection's URL in its message."""
    message = (
        f"password authentication failed for postgresql://ada:{PASSWORD}@host ({C['database']})"
    )
    fields = b"SFATAL\0C28P01\0M" + message.encode() + b"\0\0"
    refusal = b"E" + (len(fields) + 4).to_bytes(4) + fields

    def serve(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                if connection.recv(8)[4:] == (80877103).to_bytes(4):
                    connection.sendall(b"N")
                    connection.recv(8)
                connection.recv(4096)
                connection.sendall(refusal)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=serve, args=(server,))
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


class _Repeating(BaseHTTPRequestHandler):
    """Refuses the key, and repeats the request's headers in its message."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        message = f"Incorrect API key provided: {self.headers.get('Authorization')}"
        body = json.dumps({"error": {"message": message, "code": "invalid_api_key"}}).encode()
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any, **__: Any) -> None:
        return


@contextmanager
def _refusing_provider() -> Generator[str]:
    with HTTPServer(("127.0.0.1", 0), _Repeating) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join()
