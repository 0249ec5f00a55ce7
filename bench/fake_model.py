"""A fake of OpenAI's Responses API on loopback: `python fake_model.py PORT`.

Each event is written to the socket by itself, at the pace that the user's message orders, as a
model does. The bytes of a turn are made once for each length, so the fake is never the bottleneck.
`GET /seen` gives the counts of `team_model.py`.
"""

import asyncio
import re
import sys
import time
from functools import cache
from typing import Any, cast
from uuid import uuid4

import uvloop
from answer import TEAM_TASK, clock, middle, read_order
from pydantic_core import from_json
from team_model import TeamModel, call_script, read_team_order
from wire import HEAD, ID, LAST_CHUNK, Events, json_response, owned

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
FIRST, LAST = clock(0).encode(), clock(1).encode()
SEEN = b"GET /seen "


class Script:
    """The bytes of one turn: what opens it, its deltas, and what closes it."""

    def __init__(self, words: int) -> None:
        self._events = Events()
        self._event = self._events.event
        texts = [FIRST.decode(), *middle(words), LAST.decode()]
        self.opening = b"".join(self._opening())
        self.deltas = [self._delta(text) for text in texts]
        self.closing = b"".join(self._closing("".join(texts)))

    def _opening(self) -> list[bytes]:
        return [
            self._events.created(),
            self._events.in_progress(),
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
            self._events.completed(item),
        ]


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
        self._transport.write(HEAD + owned(self._script.opening, self._id))
        self._timer = self._schedule()

    def stop(self) -> None:
        self._timer.cancel()

    def _schedule(self) -> asyncio.TimerHandle:
        due = self._began + (self._sent + 1) / self._pace
        return self._loop.call_at(due, self._send_next)

    def _send_next(self) -> None:
        number, self._sent = self._sent, self._sent + 1
        delta = owned(self._script.deltas[number], self._id)
        if number == 0:
            self._first = self._clock()
        if number < len(self._script.deltas) - 1:
            self._transport.write(delta.replace(FIRST, self._first))
            self._timer = self._schedule()
        else:
            self._end(delta, self._clock())

    def _end(self, delta: bytes, last: bytes) -> None:
        closing = (
            owned(self._script.closing, self._id).replace(FIRST, self._first).replace(LAST, last)
        )
        self._transport.write(delta.replace(LAST, last))
        self._transport.write(closing + LAST_CHUNK)

    def _clock(self) -> bytes:
        return clock(time.monotonic_ns() - self._began_ns).encode()


class FakeModel(asyncio.Protocol):
    """One connection, kept alive: a request at a time."""

    def __init__(self, team: TeamModel) -> None:
        self._received = b""
        self._turn: Turn | None = None
        self._team = team

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._turn is not None:
            self._turn.stop()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and head.startswith(SEEN):
            self._received = b""
            self._transport.write(json_response(self._team.seen))
            return
        length = LENGTH.search(head)
        if not end or length is None or len(body) < int(length.group(1)):
            return
        self._received = b""
        self._respond(body.decode())

    def _respond(self, body: str) -> None:
        if TEAM_TASK not in body:
            self._answer(*read_order(body))
            return
        items = from_json(body)["input"]
        if call := self._team.next_call(items):
            self._transport.write(owned(call_script(call), uuid4().hex.encode()))
        else:
            self._answer(*read_team_order(items))

    def _answer(self, words: int, pace: int) -> None:
        self._turn = Turn(self._transport, words, pace)


async def main(port: int) -> None:
    loop, team = asyncio.get_running_loop(), TeamModel()
    server = await loop.create_server(lambda: FakeModel(team), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
