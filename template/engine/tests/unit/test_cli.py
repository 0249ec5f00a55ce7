"""Tests the command line."""

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import jwt
import pytest
from support.app import SECRET, TESTS
from support.cli import cli
from typer.testing import CliRunner, Result

from chatkit_engine.testing.features import AddFeature

REFUSING = """
from pathlib import Path
from sqlalchemy import MetaData
from chatkit_engine.store.migrate import Migrations

def install(builder):
    versions = Path(__file__).with_name("versions")
    builder.add_migrations(Migrations("refusing", versions, MetaData()))
"""
REFUSED_REVISION = """
from chatkit_engine.store.migrate import MigrationRefused

revision = "0001"
down_revision = None

def upgrade():
    raise MigrationRefused("Install the extension first.")
"""
PRODUCTION = {
    "ENVIRONMENT": "production",
    "AUTH_MODE": "jwt",
    "JWT_SECRET": SECRET,
    "OPENAI_API_KEY": "sk-test-0123456789",
    "PUBLIC_URL": "https://chat.example.com",
}


def _run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli, arguments, env=environment)


def test_chat_streams_an_answer_and_goes_on_with_the_thread() -> None:
    first = _run("chat", "Hello")
    second = _run("chat", "Again")
    third = _run("chat", "--new", "Afresh")

    assert first.exit_code == 0
    assert "You said: Hello" in first.stdout
    assert second.stdout.strip() == "You said: Again"
    assert "demo model" in third.stdout


def test_chat_says_when_there_is_no_answer() -> None:
    result = _run("chat", "please /fail")

    assert result.exit_code == 1
    assert "could not answer" in result.stderr
    assert "Traceback" not in result.output


def test_chat_refuses_a_thread_that_does_not_exist() -> None:
    result = _run("chat", "Hello", "--thread", "thr_unknown")

    assert result.exit_code == 1
    assert "does not exist" in result.stderr


def test_doctor_accepts_the_defaults() -> None:
    result = _run("doctor")

    assert result.exit_code == 0, result.output
    assert "FAIL" not in result.stdout
    assert "demo model" in result.stdout


def test_doctor_names_the_missing_settings_of_the_default_provider() -> None:
    half = {"DEFAULT_PROVIDER": "custom", "LLM_BASE_URL": "http://127.0.0.1:9/v1"}

    assert "custom needs LLM_MODEL." in _run("doctor", **half).stdout
    assert "openai needs OPENAI_API_KEY." in _run("doctor").stdout
    assert "needs" not in _run("doctor", LLM_PROVIDER="demo").stdout


def test_a_revision_for_a_database_that_is_not_up_to_date_is_refused() -> None:
    result = _run("migrate", "--revision", "more", "--of", "core")

    assert result.exit_code == 1
    assert "Run `migrate` first" in result.stderr


def test_a_revision_must_say_which_chain_it_belongs_to() -> None:
    result = _run("migrate", "--revision", "more")

    assert result.exit_code == 1
    assert "Say with --of which chain" in result.stderr


@pytest.mark.parametrize("command", ["doctor", "migrate"])
def test_a_setting_that_is_not_json_is_named_in_one_line(command: str) -> None:
    result = _run(command, BLOCKED_INPUT="not json")

    assert result.exit_code == 1
    assert "BLOCKED_INPUT: must be JSON" in result.output
    assert "Traceback" not in result.output


def test_doctor_says_which_models_answer_and_where() -> None:
    result = _run(
        "doctor",
        "--offline",
        LLM_PROVIDER="ollama",
        LLM_MODEL="llama",
        LLM_FALLBACK_PROVIDER="openai",
        OPENAI_API_KEY="sk-test",
    )

    assert "llama at 127.0.0.1, fallback gpt-" in result.stdout
    assert "sk-test" not in result.output


@pytest.mark.parametrize(
    ("environment", "fix"),
    [
        ({"AUTH_MODE": "jwt"}, "JWT_SECRET"),
        ({"AUTH_MODE": "jwt", "JWT_SECRET": "short"}, "openssl rand -hex 32"),
        ({"LLM_PROVIDER": "openai"}, "OPENAI_API_KEY"),
        ({"LLM_PROVIDER": "gemini"}, "GEMINI_API_KEY"),
        ({"LLM_PROVIDER": "azure", "LLM_MODEL": "mine"}, "AZURE_OPENAI_ENDPOINT"),
        ({"LLM_PROVIDER": "ollama"}, "LLM_MODEL"),
        (
            {"LLM_PROVIDER": "ollama", "LLM_MODEL": "llama", "LLM_FALLBACK_PROVIDER": "groq"},
            "GROQ_API_KEY",
        ),
        ({"ENVIRONMENT": "production"}, "AUTH_MODE=jwt"),
        ({"ALLOWED_ORIGINS": "*"}, "name each origin"),
        ({"DATABASE_URL": "postgresql://ada:pw@127.0.0.1:1/chat"}, "check DATABASE_URL"),
        ({"DATABASE_URL": "postgresql://localhost/chat?sslmode=on"}, "verify-full"),
        ({"DATABASE_URL": "mysql://localhost/x"}, "DATABASE_URL"),
        ({"DATABASE_URL": "sqlite:////proc/nowhere/x.db"}, "DATABASE_URL"),
        ({"PORT": "many"}, "PORT"),
    ],
)
def test_doctor_names_what_is_wrong_and_the_fix(environment: dict[str, str], fix: str) -> None:
    result = _run("doctor", **environment)

    assert result.exit_code == 1
    assert fix in result.stdout
    assert "Traceback" not in result.output


def test_doctor_finds_what_an_update_left_to_be_merged(tmp_path: Path) -> None:
    conflict = "<<<<<<< before updating\nours\n=======\ntheirs\n>>>>>>> after updating\n"
    git = shutil.which("git") or "git"
    subprocess.run([git, "init", "--quiet"], cwd=tmp_path, check=True)
    assert "update" not in _run("doctor").stdout
    (tmp_path / "heading.md").write_text("Title\n=======\n")
    (tmp_path / "docs.md").write_text(f"# Mine\n{conflict}")
    (tmp_path / "app.py.rej").touch()
    subprocess.run([git, "add", "docs.md"], cwd=tmp_path, check=True)

    result = _run("doctor")

    assert result.exit_code == 1
    assert "merge what the update left in app.py.rej, docs.md\n" in result.stdout


def test_doctor_sees_a_folder_that_hides_an_sdk(tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("")

    result = _run("doctor")

    assert result.exit_code == 1
    assert "rename your own agents" in result.stdout


@pytest.mark.parametrize("command", [("serve",), ("chat", "Hello"), ("migrate",)])
def test_wrong_settings_stop_every_command_in_words(command: tuple[str, ...]) -> None:
    result = _run(*command, AUTH_MODE="jwt", JWT_SECRET="guess-me")

    assert result.exit_code == 1
    assert "JWT_SECRET" in result.stderr
    assert "guess-me" not in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", [("serve",), ("chat", "Hello"), ("migrate",)])
def test_an_impossible_database_is_named(command: tuple[str, ...]) -> None:
    result = _run(*command, DATABASE_URL="sqlite:////proc/nowhere/x.db")

    assert result.exit_code == 1
    assert "DATABASE_URL" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", [("serve",), ("migrate",)])
def test_a_database_that_cannot_be_migrated_is_explained_in_one_line(
    command: tuple[str, ...], add_feature: AddFeature
) -> None:
    versions = Path(add_feature("refusing", REFUSING).__file__).with_name("versions")
    versions.mkdir()
    (versions / "0001_first.py").write_text(REFUSED_REVISION)

    result = _run(*command)

    assert result.exit_code == 1
    assert "Install the extension first." in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.output


def test_serve_refuses_to_listen_to_others_in_local_mode() -> None:
    result = _run("serve", "--host", "0.0.0.0")  # noqa: S104

    assert result.exit_code == 1
    assert "AUTH_MODE" in result.stderr


def test_migrate_prints_the_applied_migrations() -> None:
    assert "applied core:0001" in _run("migrate").stdout
    assert _run("migrate").stdout.strip() == "up to date"


def test_migrate_refuses_an_unknown_chain() -> None:
    result = _run("migrate", "--of", "nothing")

    assert result.exit_code == 1
    assert "core" in result.stderr


def test_token_makes_a_token_that_expires() -> None:
    result = _run("token", "--user", "ada", "--hours", "2", JWT_SECRET=SECRET, AUTH_MODE="jwt")

    claims = jwt.decode(result.stdout.strip(), SECRET, algorithms=["HS256"])
    assert claims["sub"] == "ada"
    assert "exp" in claims


def test_token_needs_the_secret() -> None:
    assert "JWT_SECRET" in _run("token", "--user", "ada").stderr


@pytest.mark.parametrize(
    "arguments", [("--user", ""), ("--user", "x" * 256), ("--user", "ada", "--hours", "inf")]
)
def test_token_refuses_users_that_the_server_would_refuse(arguments: tuple[str, ...]) -> None:
    result = _run("token", *arguments, JWT_SECRET=SECRET, AUTH_MODE="jwt")

    assert result.exit_code != 0
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"DATABASE_URL": "sqlite://host/x.db"}, "DATABASE_URL"),
        ({"DATABASE_URL": "sqlite:////etc/passwd"}, "DATABASE_URL"),
        ({"OPENAI_BASE_URL": "nonsense"}, "OPENAI_BASE_URL"),
        ({"OPENAI_API_KEY": "sk-é"}, "OPENAI_API_KEY"),
        ({"ALLOWED_ORIGINS": "http://user:pass-word@host"}, "ALLOWED_ORIGINS"),
    ],
)
def test_serve_names_what_it_cannot_use(environment: dict[str, str], says: str) -> None:
    result = _run("serve", **environment)

    assert result.exit_code == 1
    assert says in result.stderr
    assert "Traceback" not in result.output
    assert "pass-word" not in result.output


def test_an_unknown_log_level_is_named_before_anything_is_loaded() -> None:
    command = [
        sys.executable,
        "-c",
        "from chatkit_engine.cli import main; main('sample')",
        "doctor",
    ]
    environment = {"PYTHONPATH": str(TESTS), "LOG_LEVEL": "loud"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert result.stderr.startswith("LOG_LEVEL: must be one of")


def test_help_names_every_command() -> None:
    shown = re.sub(r"\s+", " ", _run("--help").stdout)

    assert all(name in shown for name in ("serve", "chat", "doctor", "migrate", "token", "usage"))


def test_a_users_data_is_exported_and_erased() -> None:
    _run("chat", "Remember the platypus")

    exported = _run("export", "--user", "local")
    _run("export", "--user", "local", "--to", "local.jsonl")
    erased = _run("erase", "--user", "local", "--yes")

    assert "Remember the platypus" in exported.stdout
    assert len(Path("local.jsonl").read_text().splitlines()) == len(exported.stdout.splitlines())
    assert "items: 2" in erased.stdout
    assert len(_run("export", "--user", "local").stdout.splitlines()) == 1
    assert _run("erase", "--user", "local").stdout.strip() == "no data"


def test_erase_rewrites_the_database_file_only_with_wipe() -> None:
    _run("chat", "Remember the platypus")
    erased = _run("erase", "--user", "local", "--yes")
    with_traces = _database_bytes()

    wiped = _run("erase", "--user", "local", "--yes", "--wipe")

    assert "items: 2" in erased.stdout
    assert b"platypus" in with_traces
    assert wiped.stdout.strip() == "no data"
    assert b"platypus" not in _database_bytes()


def _database_bytes() -> bytes:
    return b"".join(path.read_bytes() for path in Path("data").glob("chat.db*"))


def test_help_for_erase_says_what_a_wipe_locks() -> None:
    shown = re.sub(r"[\s│]+", " ", _run("erase", "--help").stdout)

    assert "Locks the whole SQLite database" in shown
    assert "30 seconds per GB" in shown


def test_what_a_user_has_used_is_printed_by_model() -> None:
    _run("chat", "Hello")

    used = _run("usage", "--user", "local")
    later = _run("usage", "--user", "local", "--since", "2999-01-01")
    wrong = _run("usage", "--user", "local", "--since", "yesterday")

    assert used.stdout.splitlines() == [
        "demo: requests 1, input tokens 0 (cached 0), output tokens 0, cost unknown",
        "total: requests 1, input tokens 0 (cached 0), output tokens 0, cost unknown",
    ]
    assert later.stdout.strip().startswith("total: requests 0")
    assert later.stdout.strip().endswith("$0.0000")
    assert wrong.exit_code == 2
    assert "yesterday" in wrong.output


def test_an_export_to_an_impossible_path_is_refused() -> None:
    result = _run("export", "--user", "local", "--to", "/proc/nowhere/x")

    assert (result.exit_code, result.stderr.strip()) == (
        1,
        "The file that --to names cannot be written.",
    )


@pytest.mark.slow
def test_a_project_moves_to_postgresql_by_two_commands(postgres_url: str) -> None:
    _run("chat", "Remember the platypus")

    moved = _run("move", "--from", "sqlite:///data/chat.db", DATABASE_URL=postgres_url)

    assert moved.exit_code == 0, moved.output
    assert "items: 2" in moved.stdout
    assert "platypus" in _run("export", "--user", "local", DATABASE_URL=postgres_url).stdout
    again = _run("move", "--from", "sqlite:///data/chat.db", DATABASE_URL=postgres_url)
    assert again.exit_code == 1
    assert "empty" in again.stderr


@pytest.mark.parametrize("url", ["sqlite:///nowhere.db", "postgresql://localhost/x", "no url"])
def test_moving_from_a_file_that_is_not_sqlite_is_refused(url: str) -> None:
    result = _run("move", "--from", url)

    assert result.exit_code == 1
    assert "--from" in result.stderr
    assert not Path("nowhere.db").exists()


def test_an_unreachable_postgresql_is_named_by_doctor_and_serve() -> None:
    nowhere = {"DATABASE_URL": "postgresql://ada:sesame-open@127.0.0.1:9/chat"}

    for command in ("doctor", "serve", "migrate"):
        result = _run(command, **nowhere)
        assert result.exit_code == 1
        assert "database" in result.output.lower()
        assert "sesame" not in result.output
        assert "Traceback" not in result.output


def test_shared_documents_are_not_erased_because_a_name_is_missing() -> None:
    result = _run("erase", "--user", "")

    assert result.exit_code == 1
    assert "--user must not be empty" in result.stderr


@pytest.mark.parametrize("environment", ["development", "production"])
def test_a_start_that_fails_shows_no_password_and_no_traceback(environment: str) -> None:
    secret = "sesame%21open"
    settings = PRODUCTION | {
        "ENVIRONMENT": environment,
        "DATABASE_URL": f"postgresql://ada:{secret}@127.0.0.1:9/chat",
    }

    result = _run("serve", **settings)

    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert sum("cannot be reached" in line for line in lines) == 1
    assert not [word for word in ("sesame", "Traceback", "locals") if word in result.output]
    if environment == "production":
        assert all(json.loads(line)["event"] for line in lines)


def test_settings_that_are_refused_in_production_are_a_line_of_json() -> None:
    result = _run("serve", **PRODUCTION | {"PORT": "many"})

    assert result.exit_code == 1
    assert "PORT" in json.loads(result.stderr)["event"]


def test_production_does_not_start_before_it_is_migrated() -> None:
    result = _run("serve", **PRODUCTION)

    assert result.exit_code == 1
    assert "run `migrate`" in json.loads(result.stderr.splitlines()[-1])["event"]


def test_an_address_that_cannot_be_used_is_named_before_the_start() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        in_use = _run("serve", PORT=port)
    elsewhere = _run("serve", **PRODUCTION | {"HOST": "203.0.113.9", "ENVIRONMENT": "development"})

    assert f"Port {port} is in use" in in_use.stderr
    assert "203.0.113.9 is not an address of this machine" in elsewhere.stderr
    assert not [r for r in (in_use, elsewhere) if "startup" in r.stderr or r.exit_code != 1]
