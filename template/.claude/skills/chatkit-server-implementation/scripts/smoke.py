"""Holds one conversation with a ChatKit server, and checks the protocol on the way.

    uv run python .claude/skills/chatkit-server-implementation/scripts/smoke.py http://127.0.0.1:8000

It creates a thread, streams a turn, lists the stored items, asks for a thread that does not exist,
and deletes the thread again. The exit code is 0 if the server follows the protocol. A bearer token
is read from the variable CHATKIT_TOKEN. The script needs only Python's standard library.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

Json = dict[str, Any]

SECONDS = 60
NOT_FOUND = 404
MESSAGE = "Hello! This is a smoke check."


class Failed(Exception):
    """The server does not follow the protocol. The message says where."""


@dataclass(frozen=True)
class Answer:
    """A response. `lines` are the lines of its body, without line ends."""

    status: int
    headers: dict[str, str]
    lines: list[str]

    def json(self) -> Json:
        try:
            return json.loads("\n".join(self.lines))
        except ValueError:
            raise Failed(f"the body is not JSON: {self.lines[:1]}") from None


class Server:
    """The endpoint, called as one user."""

    def __init__(self, url: str, path: str, token: str | None) -> None:
        self._url = url.rstrip("/") + path
        self._headers = {"Content-Type": "application/json", "Accept-Language": "en"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def ask(self, kind: str, **params: Any) -> Answer:
        body = json.dumps({"type": kind, "params": params}).encode()
        request = Request(self._url, body, self._headers)  # noqa: S310 (checked in `_url`)
        try:
            with urlopen(request, timeout=SECONDS) as response:  # noqa: S310
                return _answer(response)
        except HTTPError as refused:
            with refused:
                return _answer(refused)
        except (HTTPException, OSError) as error:
            reason = getattr(error, "reason", None) if isinstance(error, URLError) else error
            raise Failed(
                f"{self._url} cannot be reached ({reason or type(error).__name__}): "
                "start the server with `serve`, or give the URL that it prints"
            ) from None


def main() -> int:
    options = _options()
    server = Server(options.url, options.path, os.environ.get("CHATKIT_TOKEN"))
    try:
        for line in check(server):
            print(f"ok    {line}")
    except Failed as failed:
        print(f"FAIL  {failed}")
        return 1
    return 0


def check(server: Server) -> Iterator[str]:
    """Hold a conversation, and yield a line for each part that is right.

    Raises:
        Failed: a part is wrong.
    """
    events = _turn(server)
    thread = str(events[0]["thread"]["id"])
    try:
        yield f"a turn is streamed: {len(events)} events, thread {thread}"
        yield f"it answers: {_said(events)[:60]!r}"
        yield f"{_stored(server, thread)} items are stored"
        yield f"an unknown thread is refused: {_refusal(server)}"
    finally:
        server.ask("threads.delete", thread_id=thread)
    _expect(
        _get(server, thread).status == NOT_FOUND, "the thread is still there after its deletion"
    )
    yield "the thread is deleted"


def _turn(server: Server) -> list[Json]:
    content = [{"type": "input_text", "text": MESSAGE}]
    message = {"content": content, "attachments": [], "inference_options": {}}
    answer = server.ask("threads.create", input=message)
    _expect(answer.status == 200, f"a message gets {answer.status}: {' '.join(answer.lines)[:300]}")  # noqa: PLR2004
    kind = answer.headers.get("content-type", "")
    _expect(kind.startswith("text/event-stream"), f"a turn has the type {kind or 'none'}")
    _expect(
        answer.headers.get("x-accel-buffering") == "no",
        "the header `X-Accel-Buffering: no` is missing: a proxy may hold the stream back",
    )
    events = [_event(line) for line in answer.lines if line and not line.startswith(":")]
    first = events[0]["type"] if events else "nothing"
    _expect(first == "thread.created", f"the stream begins with {first}, not with thread.created")
    errors = [event.get("message") for event in events if event["type"] == "error"]
    _expect(not errors, f"the turn ends with an error: {errors}")
    return events


def _event(line: str) -> Json:
    """Parse a `data:` line of the stream."""
    _expect(line.startswith("data: "), f"a line does not start with `data:`: {line[:80]!r}")
    try:
        event = json.loads(line.removeprefix("data: "))
    except ValueError:
        raise Failed(f"a `data:` line is not complete JSON: {line[:80]!r}") from None
    _expect(isinstance(event, dict) and "type" in event, f"an event has no type: {line[:80]!r}")
    return event


def _said(events: list[Json]) -> str:
    done = [event["item"] for event in events if event["type"] == "thread.item.done"]
    messages = [item for item in done if item["type"] == "assistant_message"]
    _expect(bool(messages), "the stream has no complete message of the assistant")
    return "".join(part["text"] for part in messages[-1]["content"])


def _stored(server: Server, thread: str) -> int:
    answer = server.ask("items.list", thread_id=thread, order="asc", limit=100)
    _expect(answer.status == 200, f"items.list gets {answer.status}")  # noqa: PLR2004
    items = answer.json().get("data", [])
    kinds = [item["type"] for item in items]
    wanted = kinds[:1] == ["user_message"] and "assistant_message" in kinds
    _expect(wanted, f"the thread has {kinds}, not the message and its answer")
    return len(items)


def _refusal(server: Server) -> str:
    answer = _get(server, "thr_of_nobody")
    _expect(answer.status == NOT_FOUND, f"an unknown thread gets {answer.status}, not 404")
    kind = answer.headers.get("content-type", "")
    _expect(kind.startswith("application/problem+json"), f"an error has the type {kind}")
    problem = answer.json()
    lacking = {"status", "code", "detail"} - problem.keys()
    _expect(not lacking, f"a problem body lacks {', '.join(sorted(lacking))}")
    return f"{problem['status']} {problem['code']}"


def _get(server: Server, thread: str) -> Answer:
    return server.ask("threads.get_by_id", thread_id=thread)


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)


def _answer(response: Any) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, headers, response.read().decode().splitlines())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", type=_url, help="the server, such as http://127.0.0.1:8000")
    parser.add_argument("--path", default="/chatkit", help="the endpoint's path (%(default)s)")
    return parser.parse_args()


def _url(text: str) -> str:
    if urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).hostname:
        raise argparse.ArgumentTypeError("write a whole URL, such as http://127.0.0.1:8000")
    return text


if __name__ == "__main__":
    sys.exit(main())
