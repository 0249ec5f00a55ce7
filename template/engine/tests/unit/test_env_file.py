"""Tests what is told about `.env`: names that nothing reads, and files that cannot be read."""

import json
from pathlib import Path

import pytest
from support.app import SECRET
from support.cli import cli
from typer.testing import CliRunner, Result

from chatkit_engine.settings.core import Settings

PRODUCTION = {
    "ENVIRONMENT": "production",
    "AUTH_MODE": "jwt",
    "JWT_SECRET": SECRET,
    "OPENAI_API_KEY": "sk-test-0123456789",
    "PUBLIC_URL": "https://chat.example.com",
}
MISSPELT = {
    "OPENAI_APIKEY": "OPENAI_API_KEY",
    "LLM_PROVDER": "LLM_PROVIDER",
    "AUTHMODE": "AUTH_MODE",
    "DATABSE_URL": "DATABASE_URL",
    "JWT_SECRET_KEY": "JWT_SECRET",
    "openai_key": "OPENAI_API_KEY",
    "OPENAI_API_BASE": "OPENAI_BASE_URL",
    "SECRET_KEY": "JWT_SECRET",
    "CORS_ORIGINS": "ALLOWED_ORIGINS",
    "LLM_MODLE": "LLM_MODEL",
    "MAX_USER_TURN": "MAX_USER_TURNS",
    "PUBLIC_URI": "PUBLIC_URL",
}
VALUE = "canary-0123456789"


def _run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli, arguments, env=environment)


def _production(**more: str) -> Result:
    return _run("serve", **PRODUCTION, **more)


@pytest.mark.parametrize(("name", "meant"), MISSPELT.items())
def test_a_misspelt_name_is_told_and_stops_production(name: str, meant: str) -> None:
    Path(".env").write_text(f"{name}={VALUE}\n")
    advice = f"nothing reads {name.upper()}: did you mean {meant}?"

    doctor = _run("doctor")
    production = _production()

    assert doctor.exit_code == production.exit_code == 1
    assert advice in doctor.stdout
    events = [json.loads(line)["event"] for line in production.stderr.splitlines()]
    assert f".env: {advice}" in events
    assert not [event for event in events if "migrate" in event]
    assert VALUE not in doctor.output + production.output


def test_a_name_like_no_setting_is_told_without_advice() -> None:
    Path(".env").write_text(f"\nexport ZEBRA_{'X' * 9}={VALUE}\n")

    assert ".env: nothing reads ZEBRA_XXXXXXXXX (" in _run("doctor").stdout


def test_names_of_others_are_accepted() -> None:
    Path(".env").write_text(
        "OTEL_SERVICE_NAME=chat\nHTTPS_PROXY=http://proxy:3128\nPOSTGRES_PASSWORD=chat-chat\n"
        "OPENAI_ORG_ID=org\nEDITOR_THEME=dark\nOTHERS_ONE=1\nOPENAI_MODEL=gpt-5\n"
        "ENV_IGNORE=EDITOR_THEME, others_*\n"
    )

    doctor = _run("doctor")
    production = _production()

    assert "nothing reads" not in doctor.output + production.output
    assert doctor.exit_code == 0
    assert "run `migrate`" in production.stderr


def test_a_variable_that_is_almost_a_setting_is_told() -> None:
    doctor = _run("doctor", DATABSE_URL="sqlite:///x.db", AUTHMODE="jwt", PORTS="1", HOSTNAME="h")

    assert "variable DATABSE_URL: did you mean DATABASE_URL?" in doctor.stdout
    assert "variable AUTHMODE: did you mean AUTH_MODE?" in doctor.stdout
    assert "HOSTNAME" not in doctor.stdout
    assert "PORTS" not in doctor.stdout


@pytest.mark.parametrize("line", [f"sk-{VALUE}", f"OPENAI_API_KEY {VALUE}", f"={VALUE}", "A B=1"])
def test_a_line_without_a_name_is_told_by_its_number(line: str) -> None:
    Path(".env").write_text(f"# The settings\n\n{line}\nPORT=8001\n")

    doctor = _run("doctor")

    assert ".env, line 3: must be NAME=value" in doctor.stdout
    assert VALUE not in doctor.output


@pytest.mark.parametrize(
    "content",
    [
        b'OPENAI_API_KEY="sk-0123456789"\n',
        b"OPENAI_API_KEY='sk-0123456789'\n",
        b"\xef\xbb\xbfOPENAI_API_KEY=sk-0123456789\n",
        b"export OPENAI_API_KEY=sk-0123456789\n",
        b"# key\r\nOPENAI_API_KEY=sk-0123456789\r\nPORT=8001\r\n",
        b"\xef\xbb\xbfexport OPENAI_API_KEY = 'sk-0123456789' # mine\r\n",
        b"PROJECT_NAME=Caf\xc3\xa9\nopenai_api_key=sk-0123456789",
    ],
)
def test_a_file_is_read_as_editors_and_shells_write_it(content: bytes) -> None:
    Path(".env").write_bytes(content)

    key = Settings().openai_api_key

    assert key is not None
    assert key.get_secret_value() == "sk-0123456789"
    assert _run("doctor", "--offline").exit_code == 0


@pytest.mark.parametrize("command", ["serve", "doctor", "migrate", "token --user ada"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_a_file_in_another_encoding_is_named_with_the_fix(command: str, encoding: str) -> None:
    Path(".env").write_text(f"OPENAI_API_KEY={VALUE}\nPROJECT_NAME=Café\n", encoding)

    result = _run(*command.split())

    assert result.exit_code == 1
    assert ".env is not UTF-8" in result.output
    assert not [word for word in (VALUE, "Traceback") if word in result.output]


@pytest.mark.parametrize("name", ["JWT_SECERT", "JWTSECRET", "SECRET_KEY", "jwt_secret_key"])
def test_a_misspelt_name_is_told_though_settings_are_missing_because_of_it(name: str) -> None:
    Path(".env").write_text(f"AUTH_MODE=jwt\n{name}={VALUE}\n")

    output = _run("doctor").output

    assert "AUTH_MODE=jwt needs JWT_SECRET" in output
    assert f"nothing reads {name.upper()}: did you mean JWT_SECRET?" in output
    assert VALUE not in output
