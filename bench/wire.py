"""OpenAI's Responses API as the fake writes it: events as chunks of one HTTP response."""

import json
from typing import Any

HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"content-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"
ID = "0" * 32
MODEL = "fake"
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 100,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 200,
}


class Events:
    """Numbers the events of one response, and frames them."""

    def __init__(self) -> None:
        self._number = 0

    def event(self, kind: str, **fields: Any) -> bytes:
        data = json.dumps({"type": kind, "sequence_number": self._number, **fields})
        self._number += 1
        event = f"event: {kind}\ndata: {data}\n\n".encode()
        return b"%x\r\n%b\r\n" % (len(event), event)

    def created(self) -> bytes:
        return self.event("response.created", response=_response("in_progress", [], None))

    def completed(self, item: dict[str, Any]) -> bytes:
        response = _response("completed", [item], USAGE)
        return self.event("response.completed", response=response)

    def in_progress(self) -> bytes:
        return self.event("response.in_progress", response=_response("in_progress", [], None))


def owned(data: bytes, response_id: bytes) -> bytes:
    """Return the bytes with an id of their own."""
    return data.replace(ID.encode(), response_id)


def json_response(data: object) -> bytes:
    """Return a whole HTTP response."""
    body = json.dumps(data).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def _response(status: str, output: list[Any], usage: Any) -> dict[str, Any]:
    return {
        "id": f"resp_{ID}",
        "object": "response",
        "created_at": 1_750_000_000,
        "status": status,
        "model": MODEL,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
    }
