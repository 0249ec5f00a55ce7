"""A loopback fake of OpenAI's Responses API: the real wire, over a real socket."""

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.ports import free_port

MESSAGE_ID = "msg_the_same_every_time"
HELD_SECONDS = 60


@dataclass
class Reply:
    """One answer. `text` goes out word by word; `calls` are tool calls, as name and arguments."""

    text: str = ""
    calls: Sequence[tuple[str, dict[str, Any]]] = ()
    status: int = 200
    split_surrogates: bool = False
    headers: Mapping[str, str] | None = None
    word_seconds: float = 0.0
    cut_after_words: int | None = None
    hang_after_words: int | None = None

    @property
    def words(self) -> list[str]:
        words = [word + " " for word in self.text.split()]
        return list("".join(words)) if self.split_surrogates else words


class FakeModelApi:
    """Answers as scripted, and with an echo when the script is over. Keeps what it received.

    While `released` is cleared it holds every answer back. `most_at_once` is how many it has ever
    written at the same time.
    """

    url = ""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.started = 0
        self.dropped = threading.Event()
        self.released = threading.Event()
        self.released.set()
        self.streaming = 0
        self.most_at_once = 0
        self.default: Reply | None = None
        self._script: list[Reply] = []
        self._arrived = threading.Condition()

    async def received(self, number: int) -> None:
        """Wait until so many requests have arrived since the start of the test."""
        await asyncio.to_thread(self._wait_for, number)

    def _wait_for(self, number: int) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.requests) >= number, timeout=10)

    def script(self, *replies: Reply) -> None:
        self._script.extend(replies)

    @contextmanager
    def running(self) -> Generator["FakeModelApi"]:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/v1"
        app = Starlette(routes=[Route("/v1/responses", self._respond, methods=["POST"])])
        config = uvicorn.Config(app, port=port, log_level="error", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            thread.join(0.005)
        yield self
        server.should_exit = True
        server.force_exit = True
        thread.join()

    def texts(self, number: int = -1) -> list[str]:
        """Return the texts of one request's input, oldest first."""
        return [_text(item) for item in self.requests[number]["input"] if "content" in item]

    async def _respond(self, request: Request) -> Response:
        body: dict[str, Any] = await request.json()
        with self._arrived:
            self.requests.append(body)
            self.headers.append(dict(request.headers))
            self._arrived.notify_all()
        reply = self._next_reply(body)
        if reply.status != 200:
            error = {"error": {"message": "scripted error, with details", "code": None}}
            return JSONResponse(error, reply.status, headers=reply.headers)
        return StreamingResponse(self._stream(reply), media_type="text/event-stream")

    def _next_reply(self, body: dict[str, Any]) -> Reply:
        if self._script:
            return self._script.pop(0)
        return self.default or Reply(f"echo: {_text(body['input'][-1])}")

    async def _stream(self, reply: Reply) -> AsyncGenerator[bytes]:
        wire = _Wire()
        self.started += 1
        self.streaming += 1
        self.most_at_once = max(self.most_at_once, self.streaming)
        finished = False
        try:
            yield wire.event("response.created", response=_response([]))
            if not self.released.is_set():
                await asyncio.to_thread(self.released.wait, HELD_SECONDS)
            for name, arguments in reply.calls:
                for chunk in wire.tool_call(name, arguments):
                    yield chunk
            if reply.text:
                async for chunk in wire.message(reply):
                    yield chunk
            usage = {
                "input_tokens": 10,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": 5,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 15,
            }
            response = _response(wire.output) | {"status": "completed", "usage": usage}
            yield wire.event("response.completed", response=response)
            finished = True
        finally:
            self.streaming -= 1
            if not finished:
                self.dropped.set()


class CutOffError(Exception):
    """Breaks the connection in the middle of a response."""


class _Wire:
    """Numbers the events of one response."""

    def __init__(self) -> None:
        self.output: list[dict[str, Any]] = []
        self._number = 0

    def event(self, kind: str, **fields: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()

    def tool_call(self, name: str, arguments: dict[str, Any]) -> Iterator[bytes]:
        index = len(self.output)
        item = {
            "id": f"fc_{name}_{index}",
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{name}_{index}",
            "name": name,
            "arguments": json.dumps(arguments),
        }
        yield self.event("response.output_item.added", output_index=index, item=item)
        yield self.event("response.output_item.done", output_index=index, item=item)
        self.output.append(item)

    async def message(self, reply: Reply) -> AsyncGenerator[bytes]:
        index = len(self.output)
        place = {"item_id": MESSAGE_ID, "output_index": index, "content_index": 0}
        item: dict[str, Any] = {
            "id": MESSAGE_ID,
            "type": "message",
            "role": "assistant",
            "content": [],
        }
        begun = item | {"status": "in_progress"}
        yield self.event("response.output_item.added", output_index=index, item=begun)
        yield self.event("response.content_part.added", part=_part(""), **place)
        for position, word in enumerate(reply.words):
            if position == reply.cut_after_words:
                raise CutOffError
            if position == reply.hang_after_words:
                await asyncio.sleep(3600)
            if reply.word_seconds:
                await asyncio.sleep(reply.word_seconds)
            yield self.event("response.output_text.delta", delta=word, logprobs=[], **place)
        text = "".join(reply.words)
        yield self.event("response.output_text.done", text=text, logprobs=[], **place)
        yield self.event("response.content_part.done", part=_part(text), **place)
        done = item | {"status": "completed", "content": [_part(text)]}
        yield self.event("response.output_item.done", output_index=index, item=done)
        self.output.append(done)


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _response(output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 0,
        "status": "in_progress",
        "model": "fake",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def _text(item: dict[str, Any]) -> str:
    content = item.get("content", "")
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in content)
