"""The skills' scripts, against working and broken servers and projects."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from threading import Thread
from time import monotonic, sleep
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from tests.projects import clean_environment
from tests.texts import ENGINE, PYTHONPATH, ROOT, TEMPLATE

SCRIPTS = TEMPLATE / ".claude/skills/chatkit-server-implementation/scripts"
SERVE = [sys.executable, "-c", "from chatkit_engine.cli import main; main()"]
START_SECONDS = 90
SECRET = sha256(b"for tests only").hexdigest()
NOWHERE = "http://127.0.0.1:9"


def run_script(name: str, *arguments: str, folder: Path, **environment: str) -> tuple[int, str]:
    """Run a script as a user does; return its exit code and what it printed."""
    result = subprocess.run(
        [sys.executable, str(SCRIPTS / name), *arguments],
        cwd=folder,
        env=clean_environment() | {"PYTHONPATH": str(ENGINE.parent)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return result.returncode, result.stdout + result.stderr


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Serve template/ with the demo model and bearer tokens; give the URL and a token."""
    folder = tmp_path_factory.mktemp("served")
    with socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = str(listening.getsockname()[1])
    environment = clean_environment() | {
        "PYTHONPATH": PYTHONPATH,
        "PORT": port,
        "AUTH_MODE": "jwt",
        "JWT_SECRET": SECRET,
        "MCP_OWN_SERVER": "false",
    }
    token = subprocess.check_output(
        [*SERVE, "token", "--user", "ada"], cwd=folder, env=environment, text=True
    ).strip()
    url = f"http://127.0.0.1:{port}"
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*SERVE, "serve"], cwd=folder, env=environment, stdout=log, stderr=log
        )
    try:
        _wait(process, url, folder / "server.log")
        yield url, token
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = monotonic() + START_SECONDS
    while monotonic() < deadline and process.poll() is None:
        try:
            urlopen(f"{url}/health/live").close()  # noqa: S310 (our own server)
        except URLError:
            sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text())


def test_a_server_that_is_well_passes_the_smoke_check(
    served: tuple[str, str], tmp_path: Path
) -> None:
    url, token = served

    code, told = run_script("smoke.py", url, folder=tmp_path, CHATKIT_TOKEN=token)

    assert code == 0, told
    assert "FAIL" not in told
    assert told.count("ok ") == 5
    assert token not in told


def test_the_smoke_check_says_that_a_token_is_missing(
    served: tuple[str, str], tmp_path: Path
) -> None:
    code, told = run_script("smoke.py", served[0], folder=tmp_path)

    assert code == 1
    assert "401" in told


def test_the_smoke_check_says_that_a_server_is_down(tmp_path: Path) -> None:
    code, told = run_script("smoke.py", NOWHERE, folder=tmp_path)

    assert code == 1
    assert "cannot be reached" in told
    assert "Traceback" not in told


EVENT = 'data: {"type": "thread.created", "thread": {"id": "t"}}'


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("application/json", "{}", "has the type application/json"),
        ("text/event-stream", "event: done\n\n", "does not start with `data:`"),
        ("text/event-stream", 'data: {"type": \n\n', "not complete JSON"),
        ("text/event-stream", "data: []\n\n", "no type"),
        ("text/event-stream", ": ping\n\n", "begins with nothing"),
        ("text/event-stream", f'{EVENT}\n\ndata: {{"type": "error"}}\n\n', "ends with an error"),
        ("text/event-stream", f"{EVENT}\n\n", "no complete message"),
    ],
)
def test_the_smoke_check_names_what_is_not_the_protocol(
    tmp_path: Path, kind: str, body: str, said: str
) -> None:
    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("X-Accel-Buffering", "no")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        code, told = run_script("smoke.py", url, folder=tmp_path)
        server.shutdown()

    assert code == 1
    assert said in told
    assert "Traceback" not in told


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of the application alone, with a lock."""
    shutil.copytree(
        TEMPLATE / "app", tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__", "locale")
    )
    shutil.copy(ROOT / "uv.lock", tmp_path)
    return tmp_path


def test_the_doctor_finds_nothing_wrong_with_a_project_that_is_well(project: Path) -> None:
    code, told = run_script("doctor.py", folder=project)

    assert code == 0, told
    assert "FIX" not in told
    assert "the demo model answers" in told
    assert "openai-chatkit: 1." in told


def test_the_doctor_says_which_model_answers_and_keeps_its_key(project: Path) -> None:
    code, told = run_script("doctor.py", folder=project, OPENAI_API_KEY="sk-0123456789")

    assert code == 0, told
    assert "openai answers" in told
    assert "0123456789" not in told


def _lock_of_another_version(project: Path) -> None:
    lock = json.dumps("openai-chatkit")
    (project / "uv.lock").write_text(f'[[package]]\nname = {lock}\nversion = "0.0.1"\n')


def _without_a_lock(project: Path) -> None:
    (project / "uv.lock").unlink()


def _a_folder_of_an_sdks_name(project: Path) -> None:
    (project / "agents").mkdir()


def _a_file_of_an_sdks_name(project: Path) -> None:
    (project / "chatkit.py").touch()


def _every_origin(project: Path) -> None:
    middleware = 'app.add_middleware(C, allow_origins=["*"], allow_credentials=True)\n'
    (project / "app" / "open.py").write_text(middleware)


def _a_wrong_setting(project: Path) -> None:
    (project / ".env").write_text("ALLOWED_ORIGINS=*\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_lock_of_another_version, "0.0.1 is locked: run `uv sync`"),
        (_without_a_lock, "run `uv lock`"),
        (_a_folder_of_an_sdks_name, "rename agents"),
        (_a_file_of_an_sdks_name, "rename chatkit.py"),
        (_every_origin, "app/open.py:1: name each origin"),
        (_a_wrong_setting, "ALLOWED_ORIGINS"),
    ],
)
def test_the_doctor_says_what_to_do(
    project: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(project)

    code, told = run_script("doctor.py", folder=project)

    assert code == 1
    assert said in told
    assert "Traceback" not in told


def test_the_doctor_says_so_where_there_is_no_project(tmp_path: Path) -> None:
    code, told = run_script("doctor.py", folder=tmp_path)

    assert code == 1
    assert "run this in the project" in told


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.py")))
def test_each_script_says_what_it_is_for(script: str, tmp_path: Path) -> None:
    code, told = run_script(script, "--help", folder=tmp_path)

    assert code == 0
    assert "usage" in told
