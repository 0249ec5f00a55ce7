"""The fake's server. It gives scripted answers and records the requests."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from chatkit_engine.testing.fake_model_api.chat_completions import ChatCompletionsWire
from chatkit_engine.testing.fake_model_api.embeddings import EmbeddingsApi
from chatkit_engine.testing.fake_model_api.reply import FOREVER_SECONDS, EarlyEnd, Reply, text_of
from chatkit_engine.testing.fake_model_api.responses import ResponsesWire
from chatkit_engine.testing.ports import free_port

HELD_SECONDS = 60
WIRES = {"/v1/responses": ResponsesWire, "/v1/chat/completions": ChatCompletionsWire}
NOT_CONVERSATION = ("system", "tool")

Wire = ResponsesWire | ChatCompletionsWire


class FakeModelApi:
    """Gives the scripted answers, then echoes. Records all requests.

    While `released` is cleared, it holds answers back. `most_at_once` is the highest number of
    concurrent answers so far. `recordings` are the transcription requests: the model, the file's
    name and its bytes. `embeddings` has its own script.
    """

    url = ""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.recordings: list[tuple[str, str, bytes]] = []
        self.embeddings = EmbeddingsApi()
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
        """Wait until this number of requests has arrived since the start of the test."""
        await asyncio.to_thread(self._wait_for, number)

    def _wait_for(self, number: int) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.requests) >= number, timeout=10)

    def script(self, *replies: Reply) -> None:
        """Set the next answers."""
        self._script.extend(replies)

    def forget_script(self) -> None:
        """Drop the scripted answers that are left."""
        self._script.clear()

    @contextmanager
    def running(self) -> Generator["FakeModelApi"]:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/v1"
        routes = [Route(path, partial(self._respond, path), methods=["POST"]) for path in WIRES]
        routes.append(Route("/v1/audio/transcriptions", self._transcribe, methods=["POST"]))
        routes.append(Route("/v1/embeddings", self._embed, methods=["POST"]))
        app = Starlette(routes=routes)
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
        """Return the texts of a request's input, oldest first, without instructions."""
        return [
            text_of(item)
            for item in _input(self.requests[number])
            if item.get("content") and item.get("role") not in NOT_CONVERSATION
        ]

    def instructions(self, number: int = -1) -> str:
        """Return the instructions of a request, by default of the last one."""
        request = self.requests[number]
        given = [text_of(item) for item in _input(request) if item.get("role") == "system"]
        return "\n".join([request.get("instructions") or "", *given]).strip()

    def offered_tools(self, number: int = -1) -> set[str]:
        """Return the names of the tools that a request offers to the model."""
        tools = self.requests[number].get("tools") or ()
        return {str((tool.get("function") or tool)["name"]) for tool in tools}

    def tool_outputs(self, number: int = -1) -> list[str]:
        """Return the outputs of tools in a request, oldest first."""
        items = _input(self.requests[number])
        outputs = [item.get("output") or text_of(item) for item in items if _is_output(item)]
        return [str(output) for output in outputs]

    async def _respond(self, path: str, request: Request) -> Response:
        body: dict[str, Any] = await request.json()
        with self._arrived:
            self.requests.append(body)
            self.headers.append(dict(request.headers))
            self.paths.append(path)
            self._arrived.notify_all()
        reply = self._next_reply(text_of(_input(body)[-1]))
        if reply.hangs:
            await asyncio.sleep(FOREVER_SECONDS)
        if reply.status != 200:
            return _error(reply)
        wire = WIRES[path](reply, body, len(self.requests))
        if body.get("stream"):
            return StreamingResponse(self._stream(wire, reply), media_type="text/event-stream")
        if reply.endless:
            return StreamingResponse(reply.forever(), media_type="application/json")
        async for _ in wire.body():
            pass
        return JSONResponse(wire.whole())

    async def _transcribe(self, request: Request) -> Response:
        async with request.form() as form:
            file = form["file"]
            assert isinstance(file, UploadFile)
            self.recordings.append((str(form["model"]), file.filename or "", await file.read()))
        await self._hold()
        reply = self._next_reply("a recording")
        if reply.endless:
            return StreamingResponse(reply.forever(), media_type="application/json")
        return JSONResponse({"text": reply.text}) if reply.status == 200 else _error(reply)

    async def _embed(self, request: Request) -> Response:
        return await self.embeddings.respond(request)

    async def _hold(self) -> None:
        if not self.released.is_set():
            await asyncio.to_thread(self.released.wait, HELD_SECONDS)

    def _next_reply(self, said: str) -> Reply:
        if self._script:
            return self._script.pop(0)
        return self.default or Reply(f"echo: {said}")

    async def _stream(self, wire: Wire, reply: Reply) -> AsyncGenerator[bytes]:
        self.started += 1
        self.streaming += 1
        self.most_at_once = max(self.most_at_once, self.streaming)
        finished = False
        try:
            yield wire.opening()
            await self._hold()
            yield reply.noise
            async for chunk in wire.body():
                yield chunk
            async for chunk in reply.forever():
                yield chunk
            yield wire.closing()
            finished = True
        except EarlyEnd:
            finished = True
        finally:
            self.streaming -= 1
            if not finished:
                self.dropped.set()


def _input(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the input of a request in either wire format."""
    said: Any = body.get("messages") or body["input"]
    return [{"role": "user", "content": said}] if isinstance(said, str) else said


def _is_output(item: dict[str, Any]) -> bool:
    return item.get("type") == "function_call_output" or item.get("role") == "tool"


def _error(reply: Reply) -> Response:
    error = {"error": {"message": "scripted error, with details", "code": None}}
    return JSONResponse(error, reply.status, headers=reply.headers)
