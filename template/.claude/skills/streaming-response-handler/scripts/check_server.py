"""Checks a running server from outside: health, the ChatKit stream, the plain one, CORS.

    uv run --no-sync python .claude/skills/streaming-response-handler/scripts/check_server.py \\
        http://127.0.0.1:8000 [--token TOKEN] [--origin https://app.example.com]

The model is asked twice; the threads are deleted afterwards. Exits with 1 where a check fails.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from time import monotonic
from typing import Any

import httpx2

SAYS = "Answer with one short sentence."
TEXT = [{"type": "input_text", "text": SAYS}]
MESSAGE = {"content": TEXT, "attachments": [], "inference_options": {}}
CREATE = {"type": "threads.create", "params": {"input": MESSAGE}}
SECONDS = 120

Json = dict[str, Any]


def main() -> None:
    asked = _arguments()
    headers = {"Authorization": f"Bearer {asked.token}"} if asked.token else {}
    with httpx2.Client(base_url=asked.url, headers=headers, timeout=SECONDS) as client:
        checks: dict[str, Callable[[], str]] = {
            "health": lambda: health(client),
            "chatkit": lambda: chatkit(client),
            "plain": lambda: plain(client),
        }
        if asked.origin:
            checks["cors"] = lambda: cors(client, asked.origin)
        failed = [name for name, check in checks.items() if not _passes(name, check)]
    sys.exit(1 if failed else 0)


def health(client: httpx2.Client) -> str:
    ready = client.get("/health/ready")
    missing = [each for each in ready.json()["checks"] if not each["ok"]]
    assert ready.status_code == HTTPStatus.OK, f"not ready: {missing}"
    return "ready"


def chatkit(client: httpx2.Client) -> str:
    with client.stream("POST", "/chatkit", json=CREATE) as response:
        _expect_stream(response)
        arrived = [
            (at, json.loads(block.removeprefix("data: "))) for at, block in _blocks(response)
        ]
    events = [event for _, event in arrived]
    assert events[0]["type"] == "thread.created", f"the first event is {events[0]['type']}"
    errors = [event for event in events if event["type"] == "error"]
    thread = events[0]["thread"]["id"]
    try:
        assert not errors, f"the model did not answer: {errors[0].get('message', 'see the log')}"
        listed = client.post("/chatkit", json=_op("items.list", thread_id=thread)).json()
        kinds = {item["type"] for item in listed["data"]}
        assert {"user_message", "assistant_message"} <= kinds, f"the thread has only {kinds}"
    finally:
        client.post("/chatkit", json=_op("threads.delete", thread_id=thread))
    return _spread([at for at, event in arrived if event["type"] == "thread.item.updated"])


def plain(client: httpx2.Client) -> str:
    body = {"message": SAYS, "stream": True}
    with client.stream("POST", "/api/chat", json=body) as response:
        _expect_stream(response)
        arrived = [(at, *_named(block)) for at, block in _blocks(response)]
    names = [name for _, name, _ in arrived]
    assert (names[0], names[-1]) == ("thread", "done"), f"the events are {names}"
    client.delete(f"/api/threads/{arrived[0][2]['thread_id']}")
    assert arrived[-1][2]["outcome"] == "completed", f"the turn has {arrived[-1][2]['outcome']}"
    return _spread([at for at, name, _ in arrived if name == "delta"])


def cors(client: httpx2.Client, origin: str) -> str:
    wanted = {"Access-Control-Request-Method": "POST", "Origin": origin}
    allowed = client.options("/chatkit", headers=wanted).headers
    assert allowed.get("access-control-allow-origin") == origin, f"add {origin} to ALLOWED_ORIGINS"
    other = client.options("/chatkit", headers=wanted | {"Origin": "https://not-listed.example"})
    assert "access-control-allow-origin" not in other.headers, "any origin is allowed"
    return f"{origin} may call, others may not"


def _expect_stream(response: httpx2.Response) -> None:
    if response.status_code != HTTPStatus.OK:
        response.read()
        raise AssertionError(f"{response.status_code}: {response.text[:300]}")
    kind = response.headers["content-type"]
    assert kind.startswith("text/event-stream"), f"the answer is {kind}"
    assert "content-encoding" not in response.headers, "something compresses the stream"


def _blocks(response: httpx2.Response) -> Iterator[tuple[float, str]]:
    """Yield each event with the time at which it came. Comments are left out."""
    rest = ""
    for text in response.iter_text():
        *blocks, rest = (rest + text).split("\n\n")
        yield from ((monotonic(), block) for block in blocks if not block.startswith(":"))


def _named(block: str) -> tuple[str, Json]:
    name, _, data = block.partition("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def _spread(times: list[float]) -> str:
    """Say how the deltas came; all of them at once is what a buffering proxy makes."""
    assert times, "there was no text"
    return f"{len(times)} deltas within {times[-1] - times[0]:.2f} s"


def _op(kind: str, **params: str) -> Json:
    return {"type": kind, "params": params}


def _passes(name: str, check: Callable[[], str]) -> bool:
    try:
        print(f"ok    {name}: {check()}")
    except (AssertionError, httpx2.HTTPError, ValueError, KeyError) as problem:
        print(f"FAIL  {name}: {problem or type(problem).__name__}")
        return False
    return True


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", help="where the server is, such as http://127.0.0.1:8000")
    parser.add_argument("--token", default="", help="a bearer token, with AUTH_MODE=jwt")
    parser.add_argument("--origin", default="", help="a front end's origin, to check CORS")
    return parser.parse_args()


main()
