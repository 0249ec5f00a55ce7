"""Every operation of the ChatKit protocol, against a rendered server, as its owner and a stranger.

The operations are read from the SDK: a new one fails here until it is in `PARAMS`.
"""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, get_args

import httpx2
import pytest
from chatkit.types import ChatKitReq
from tests.projects import Project, clean_environment, uv

Json = dict[str, Any]

SECRET = sha256(b"for tests only").hexdigest()
UNKNOWN = "thr_00000000000000000000000000000000"
MESSAGE = {
    "content": [{"type": "input_text", "text": "Hello"}],
    "attachments": [],
    "inference_options": {},
}
ACTION = {"type": "press", "payload": {}}
OPERATIONS = {
    str(request.model_fields["type"].default)
    for union in get_args(get_args(ChatKitReq)[0])
    for request in (get_args(union) or (union,))
}
THREAD = "THE THREAD"
ITEM = "THE ITEM"
PARAMS: dict[str, Json] = {
    "threads.create": {"input": MESSAGE},
    "threads.list": {},
    "threads.get_by_id": {"thread_id": THREAD},
    "threads.add_user_message": {"thread_id": THREAD, "input": MESSAGE},
    "threads.add_client_tool_output": {"thread_id": THREAD, "result": {}},
    "threads.add_structured_input": {
        "thread_id": THREAD,
        "item_id": ITEM,
        "input": {"status": "answered", "answers": {}},
    },
    "threads.retry_after_item": {"thread_id": THREAD, "item_id": ITEM},
    "threads.custom_action": {"thread_id": THREAD, "item_id": ITEM, "action": ACTION},
    "threads.sync_custom_action": {"thread_id": THREAD, "item_id": ITEM, "action": ACTION},
    "threads.update": {"thread_id": THREAD, "title": "Mine now"},
    "threads.delete": {"thread_id": THREAD},
    "items.list": {"thread_id": THREAD},
    "items.feedback": {"thread_id": THREAD, "item_ids": [ITEM], "kind": "positive"},
    "attachments.create": {"name": "a.txt", "size": 1, "mime_type": "text/plain"},
    "attachments.delete": {"attachment_id": "atc_unknown"},
    "input.transcribe": {"audio_base64": "AAAA", "mime_type": "audio/webm"},
}
ON_A_THREAD = sorted(op for op, params in PARAMS.items() if "thread_id" in params)


class Server:
    """A rendered server in AUTH_MODE=jwt, and a thread of Ada's in it."""

    def __init__(self, project: Project, http: httpx2.Client) -> None:
        self._project = project
        self.http = http
        self.tokens = {name: self._token(name) for name in ("ada", "eve")}
        events = self.send("ada", "threads.create", PARAMS["threads.create"]).text
        first = json.loads(events.partition("\n\n")[0].removeprefix("data: "))
        self.thread = first["thread"]["id"]
        self.item = self.items()[0]["id"]

    def _token(self, user: str) -> str:
        environment = {"AUTH_MODE": "jwt", "JWT_SECRET": SECRET}
        command = ("my-assistant", "token", "--user", user)
        return self._project.uv_run(*command, **environment).strip().splitlines()[-1]

    def send(self, user: str, op: str, params: Json) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.tokens[user]}"}
        return self.http.post("/chatkit", json={"type": op, "params": params}, headers=headers)

    def items(self) -> list[Json]:
        params = {"thread_id": self.thread, "limit": 100, "order": "asc"}
        return self.send("ada", "items.list", params).json()["data"]


@pytest.fixture(scope="module")
def server(
    installed: Callable[[str], Project], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    project = installed("full")
    folder = tmp_path_factory.mktemp("protocol")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    settings = {"AUTH_MODE": "jwt", "JWT_SECRET": SECRET, "PORT": port}
    database = {"DATABASE_URL": f"sqlite:///{folder}/chat.db"}
    process = subprocess.Popen(
        [uv(), "run", "--no-sync", "my-assistant", "serve"],
        cwd=project.folder,
        env=clean_environment() | settings | database,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(process, port)
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
            yield Server(project, http)
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: str) -> None:
    for _ in range(300):
        assert process.poll() is None
        try:
            httpx2.get(f"http://127.0.0.1:{port}/health/live")
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server did not start")


def _filled(params: Json, thread: str, item: str) -> Json:
    text = json.dumps(params).replace(THREAD, thread).replace(ITEM, item)
    return json.loads(text)


def test_every_operation_of_the_protocol_is_tried() -> None:
    assert set(PARAMS) == OPERATIONS


@pytest.mark.parametrize("op", ON_A_THREAD)
def test_a_strangers_thread_answers_exactly_like_none(server: Server, op: str) -> None:
    before = server.items()

    theirs = server.send("eve", op, _filled(PARAMS[op], server.thread, server.item))
    none = server.send("eve", op, _filled(PARAMS[op], UNKNOWN, server.item))

    assert theirs.status_code == none.status_code == 404
    assert theirs.content == none.content
    assert theirs.headers["content-type"] == none.headers["content-type"]
    assert server.items() == before


@pytest.mark.parametrize("op", sorted(PARAMS))
def test_an_operation_without_a_token_is_refused(server: Server, op: str) -> None:
    request = {"type": op, "params": _filled(PARAMS[op], server.thread, server.item)}

    assert server.http.post("/chatkit", json=request).status_code == 401


HOSTILE: list[Any] = [None, [], {}, {"thread_id": None}, {"limit": -5}, {"thread_id": "a\x00b"}]
VALID_ALL_THE_SAME = [("threads.list", {}), ("threads.list", {"thread_id": None})]


@pytest.mark.parametrize(
    ("op", "params"),
    [
        (op, params)
        for op in sorted(PARAMS)
        for params in HOSTILE
        if (op, params) not in VALID_ALL_THE_SAME
    ],
    ids=str,
)
def test_hostile_parameters_get_a_client_error_in_words(
    server: Server, op: str, params: object
) -> None:
    headers = {"Authorization": f"Bearer {server.tokens['ada']}"}

    response = server.http.post("/chatkit", json={"type": op, "params": params}, headers=headers)

    assert 400 <= response.status_code < 500
    assert response.json()["detail"]


def test_a_strangers_thread_is_no_cursor(server: Server) -> None:
    theirs = server.send("eve", "threads.list", {"after": server.thread})
    none = server.send("eve", "threads.list", {"after": UNKNOWN})

    assert theirs.status_code == none.status_code == 400
    assert theirs.content == none.content


def test_the_owner_can_do_all_of_it(server: Server) -> None:
    """The last test of the module: it deletes the thread."""
    expected = {
        "threads.add_client_tool_output": 409,
        "threads.add_structured_input": 400,
        "threads.custom_action": 400,
        "threads.sync_custom_action": 400,
        "attachments.delete": 404,
        "input.transcribe": 400,
    }
    for op in sorted(PARAMS, key=lambda name: name == "threads.delete"):
        response = server.send("ada", op, _filled(PARAMS[op], server.thread, server.item))
        assert response.status_code == expected.get(op, 200), f"{op}: {response.text}"
