"""A fake of OpenAI's Responses API on loopback: `python fake_model.py PORT`.

Each event is written to the socket by itself, at the pace that the user's message orders, as a
model does. The bytes of a turn are made once for each length, so the fake is never the bottleneck.
"""

import asyncio
import json
import re
import sys
import time
from functools import cache
from typing import Any, cast
from uuid import uuid4

import uvloop
from answer import clock, middle, read_order

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"content-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"
ID = "0" * 32
FIRST, LAST = clock(0).encode(), clock(1).encode()
MODEL = "fake"
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 100,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 200,
}


class Script:
    """The bytes of one turn: what opens it, its deltas, and what closes it."""

    def __init__(self, words: int) -> None:
        self._number = 0
        texts = [FIRST.decode(), *middle(words), LAST.decode()]
        self.opening = b"".join(self._opening())
        self.deltas = [self._delta(text) for text in texts]
        self.closing = b"".join(self._closing("".join(texts)))

    def _opening(self) -> list[bytes]:
        response = _response("in_progress", [], None)
        return [
            self._event("response.created", response=response),
            self._event("response.in_progress", response=response),
            self._event("response.output_item.added", output_index=0, item=_item("in_progress")),
            self._event("response.content_part.added", **PLACE, part=_part("")),
        ]

    def _delta(self, text: str) -> bytes:
        return self._event(
            "response.output_text.delta",
            **PLACE,
            delta=text,
            logprobs=[],
            obfuscation="0123456789",
        )

    def _closing(self, text: str) -> list[bytes]:
        item = _item("completed", _part(text))
        return [
            self._event("response.output_text.done", **PLACE, text=text, logprobs=[]),
            self._event("response.content_part.done", **PLACE, part=_part(text)),
            self._event("response.output_item.done", output_index=0, item=item),
            self._event("response.completed", response=_response("completed", [item], USAGE)),
        ]

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = json.dumps({"type": kind, "sequence_number": self._number, **fields})
        self._number += 1
        event = f"event: {kind}\ndata: {data}\n\n".encode()
        return b"%x\r\n%b\r\n" % (len(event), event)


PLACE: dict[str, Any] = {"item_id": f"msg_{ID}", "output_index": 0, "content_index": 0}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _item(status: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{ID}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": list(content),
    }


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


script = cache(Script)


class Turn:
    """Sends one answer, each delta at its time."""

    def __init__(self, transport: asyncio.WriteTransport, words: int, pace: int) -> None:
        self._transport = transport
        self._script = script(words)
        self._pace = pace
        self._id = uuid4().hex.encode()
        self._began_ns = time.monotonic_ns()
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._sent = 0
        self._transport.write(HEAD + self._own(self._script.opening))
        self._timer = self._schedule()

    def stop(self) -> None:
        self._timer.cancel()

    def _schedule(self) -> asyncio.TimerHandle:
        due = self._began + (self._sent + 1) / self._pace
        return self._loop.call_at(due, self._send_next)

    def _send_next(self) -> None:
        number, self._sent = self._sent, self._sent + 1
        delta = self._own(self._script.deltas[number])
        if number == 0:
            self._first = self._clock()
        if number < len(self._script.deltas) - 1:
            self._transport.write(delta.replace(FIRST, self._first))
            self._timer = self._schedule()
        else:
            self._end(delta, self._clock())

    def _end(self, delta: bytes, last: bytes) -> None:
        closing = self._own(self._script.closing).replace(FIRST, self._first).replace(LAST, last)
        self._transport.write(delta.replace(LAST, last))
        self._transport.write(closing + LAST_CHUNK)

    def _own(self, data: bytes) -> bytes:
        return data.replace(ID.encode(), self._id)

    def _clock(self) -> bytes:
        return clock(time.monotonic_ns() - self._began_ns).encode()


class FakeModel(asyncio.Protocol):
    """One connection, kept alive: a request at a time."""

    def __init__(self) -> None:
        self._received = b""
        self._turn: Turn | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._turn is not None:
            self._turn.stop()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not end or length is None or len(body) < int(length.group(1)):
            return
        self._received = b""
        words, pace = read_order(body.decode())
        self._turn = Turn(self._transport, words, pace)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(FakeModel, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
