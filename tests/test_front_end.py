"""The client in the texts, run by Node.js against a server that sends a stream byte by byte."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.projects import clean_environment
from tests.texts import TEMPLATE, blocks_of
from tests.type_checker import WHEEL

TEXT = TEMPLATE / ".claude/skills/chatkit-server-implementation/references/frontend-integration.md"
EVENTS = [
    ("thread", {"thread_id": "thr_1"}),
    ("delta", {"text": "Grüße: 😀\n\n"}),
    ("done", {"usage": None}),
]
STREAM = "".join(
    f": ping\n\nevent: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
    for name, data in EVENTS
)
Node = Callable[[str, str], Any]


class OneByteAtATime(BaseHTTPRequestHandler):
    """Answers a question with the stream; any other request like a wrong token's."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["message"] != "Hello":
            self._send(401, "application/problem+json", b'{"detail": "Sign in."}')
            return
        self._send(200, "text/event-stream", STREAM.encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for byte in body:
            self.wfile.write(bytes([byte]))

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), OneByteAtATime) as httpd:
        Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Give a function that runs JavaScript with a name that a block of the text exports."""

    def run(exported: str, script: str) -> Any:
        block = next(b for b in blocks_of(TEXT) if f"export {{ {exported}" in b.code)
        (tmp_path / "block.ts").write_text(block.code)
        (tmp_path / "script.mjs").write_text(
            f'import {{ {exported} }} from "./block.ts";\nconst told = [];\n{script}\n'
            "console.log(JSON.stringify(told));\n"
        )
        path = os.pathsep.join([str(WHEEL / "bin"), os.environ["PATH"]])
        environment = clean_environment() | {"PATH": path, "NODE_NO_WARNINGS": "1"}
        command = ["node", "--experimental-strip-types", "script.mjs"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_a_client_reads_whole_events_wherever_the_stream_is_cut(node: Node, server: str) -> None:
    script = f'for await (const each of ask("{server}", "Hello")) told.push(each);'

    assert node("ask", script) == [{"event": name, "data": data} for name, data in EVENTS]


def test_a_client_says_why_it_was_refused(node: Node, server: str) -> None:
    script = f"""
        try {{ for await (const each of ask("{server}", "Who?")) told.push(each); }}
        catch (error) {{ told.push(error.message); }}
    """

    assert node("ask", script) == ["Sign in."]


def test_what_is_selected_in_the_chat_is_not_the_pages_selection(node: Node) -> None:
    script = """
        const page = {}, inside = {};
        let changed, selection = null;
        globalThis.document = {
          addEventListener: (_, listener) => { changed = listener; },
          getSelection: () => selection,
        };
        const selected = selectionOutside({ contains: (node) => node === inside });
        for (const [anchorNode, text] of [[page, " loops "], [inside, "an answer"], [null, ""]]) {
          selection = { anchorNode, toString: () => text };
          changed();
          told.push(selected());
        }
    """

    assert node("selectionOutside", script) == ["loops"] * 3
