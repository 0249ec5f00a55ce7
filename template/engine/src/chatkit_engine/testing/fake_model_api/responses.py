"""The fake's Responses API."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncGenerator, Generator
from typing import Any

from chatkit_engine.testing.fake_model_api.reply import FOREVER_SECONDS, Reply, raw, words_of

MESSAGE_ID = "msg_the_same_every_time"


class ResponsesWire:
    """One response as numbered events. `number` makes the ids of its calls unique."""

    def __init__(self, reply: Reply, request: dict[str, Any], number: int) -> None:
        self._reply = reply
        self._request_number = number
        self._output: list[dict[str, Any]] = []
        self._number = 0

    def opening(self) -> bytes:
        return self._event("response.created", response=self._response("in_progress"))

    async def body(self) -> AsyncGenerator[bytes]:
        if self._reply.reasoning:
            for chunk in self._reasoning(self._reply.reasoning):
                yield chunk
        for name, arguments in self._reply.calls:
            for chunk in self._tool_call(name, raw(arguments)):
                yield chunk
        if self._reply.image is not None:
            for chunk in self._image(b64encode(self._reply.image).decode()):
                yield chunk
        async for chunk in self._given():
            yield chunk
        if self._reply.text:
            async for chunk in self._message():
                yield chunk
        if self._reply.refusal:
            for chunk in self._refusal(self._reply.refusal):
                yield chunk

    async def _given(self) -> AsyncGenerator[bytes]:
        for event in self._reply.events:
            if event is None:
                await asyncio.sleep(FOREVER_SECONDS)
            elif event[0] == "response.output_item.done":
                yield self._done(event[1]["item"])
            else:
                yield self._event(event[0], **event[1])

    def closing(self) -> bytes:
        return self._event(f"response.{self._status}", response=self.whole())

    def whole(self) -> dict[str, Any]:
        """Return the complete response. The body must be written first."""
        reply, tokens = self._reply, self._reply.tokens
        usage = {
            "input_tokens": tokens["input"],
            "input_tokens_details": {"cached_tokens": tokens["cached"], "cache_write_tokens": 0},
            "output_tokens": tokens["output"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": tokens["input"] + tokens["output"],
        }
        details = {"reason": reply.incomplete} if reply.incomplete else None
        error = {"code": reply.error_code, "message": "scripted"} if reply.error_code else None
        return self._response(self._status) | {
            "usage": usage,
            "incomplete_details": details,
            "error": error,
        }

    @property
    def _status(self) -> str:
        if self._reply.error_code:
            return "failed"
        return "incomplete" if self._reply.incomplete else "completed"

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()

    def _added(self, item: dict[str, Any]) -> bytes:
        index = len(self._output)
        return self._event("response.output_item.added", output_index=index, item=item)

    def _done(self, item: dict[str, Any]) -> bytes:
        self._output.append(item)
        index = len(self._output) - 1
        return self._event("response.output_item.done", output_index=index, item=item)

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._request_number}_{len(self._output)}"

    def _tool_call(self, name: str, arguments: str) -> Generator[bytes]:
        item = {
            "id": self._id(f"fc_{name}"),
            "type": "function_call",
            "status": "completed",
            "call_id": self._reply.call_id or self._id(f"call_{name}"),
            "name": name,
            "arguments": arguments,
        }
        yield self._added(item)
        yield self._done(item)

    def _reasoning(self, text: str) -> Generator[bytes]:
        item: dict[str, Any] = {"id": self._id("rs"), "type": "reasoning", "summary": []}
        place = {"item_id": item["id"], "output_index": len(self._output), "summary_index": 0}
        text = "".join(words_of(text))
        part = {"type": "summary_text", "text": text}
        kind = "response.reasoning_summary"
        yield self._added(item)
        yield self._event(f"{kind}_part.added", part=part | {"text": ""}, **place)
        for word in words_of(text):
            yield self._event(f"{kind}_text.delta", delta=word, **place)
        yield self._event(f"{kind}_text.done", text=text, **place)
        yield self._event(f"{kind}_part.done", part=part, **place)
        yield self._done(item | {"summary": [part]})

    def _image(self, encoded: str) -> Generator[bytes]:
        item = {"id": self._id("ig"), "type": "image_generation_call", "result": None}
        place = {"item_id": item["id"], "output_index": len(self._output)}
        kind = "response.image_generation_call"
        yield self._added(item | {"status": "in_progress"})
        yield self._event(f"{kind}.generating", **place)
        partial = {"partial_image_b64": encoded, "partial_image_index": 0}
        yield self._event(f"{kind}.partial_image", **place, **partial)
        yield self._event(f"{kind}.completed", **place)
        yield self._done(item | {"status": "completed", "result": encoded})

    async def _message(self) -> AsyncGenerator[bytes]:
        index = len(self._output)
        place = {"item_id": MESSAGE_ID, "output_index": index, "content_index": 0}
        yield self._added(_message("in_progress"))
        yield self._event("response.content_part.added", part=_part(""), **place)
        async for word in self._reply.paced():
            yield self._event("response.output_text.delta", delta=word, logprobs=[], **place)
        for number, annotation in enumerate(self._reply.annotations):
            fields = {"annotation": annotation, "annotation_index": number, **place}
            yield self._event("response.output_text.annotation.added", **fields)
        part = _part("".join(self._reply.words), *self._reply.annotations)
        yield self._event("response.output_text.done", text=part["text"], logprobs=[], **place)
        yield self._event("response.content_part.done", part=part, **place)
        yield self._done(_message("incomplete" if self._reply.incomplete else "completed", part))

    def _refusal(self, text: str) -> Generator[bytes]:
        index = len(self._output)
        place = {"item_id": MESSAGE_ID, "output_index": index, "content_index": 0}
        part = {"type": "refusal", "refusal": text}
        yield self._added(_message("in_progress"))
        yield self._event("response.content_part.added", part=part | {"refusal": ""}, **place)
        for word in words_of(text):
            yield self._event("response.refusal.delta", delta=word, **place)
        yield self._event("response.refusal.done", refusal=text, **place)
        yield self._event("response.content_part.done", part=part, **place)
        yield self._done(_message("completed", part))

    def _response(self, status: str) -> dict[str, Any]:
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 0,
            "status": status,
            "model": "fake",
            "output": list(self._output),
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }


def _message(status: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": MESSAGE_ID,
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": list(parts),
    }


def _part(text: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": list(annotations), "logprobs": []}
