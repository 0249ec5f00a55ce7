"""The fake's Chat Completions API."""

import json
from collections.abc import AsyncGenerator, Generator
from typing import Any

from chatkit_engine.testing.fake_model_api.reply import Arguments, Reply, raw, words_of

FINISH_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}
PART = 5


class ChatCompletionsWire:
    """One completion in chunks. `number` makes the ids of its calls unique."""

    def __init__(self, reply: Reply, request: dict[str, Any], number: int) -> None:
        self._reply = reply
        self._number = number
        options: dict[str, Any] = request.get("stream_options") or {}
        self._has_usage = bool(options.get("include_usage"))

    def opening(self) -> bytes:
        return self._delta(role="assistant", content="")

    async def body(self) -> AsyncGenerator[bytes]:
        for choices in self._reply.choices:
            yield self._chunk(choices)
        for word in words_of(self._reply.reasoning):
            yield self._delta(reasoning_content=word)
        async for word in self._reply.paced():
            yield self._delta(content=word)
        if citations := self._citations():
            yield self._delta(annotations=citations)
        for word in words_of(self._reply.refusal):
            yield self._delta(refusal=word)
        for index, (name, arguments) in enumerate(self._reply.calls):
            for chunk in self._tool_call(index, name, arguments):
                yield chunk

    def closing(self) -> bytes:
        if self._reply.error_code:
            error = {"message": "scripted", "code": self._reply.error_code}
            return _event({"error": error})
        reason = self._finish_reason if self._reply.gives_reason else None
        end = self._chunk([{"index": 0, "delta": {}, "finish_reason": reason}])
        usage = self._chunk([], usage=self._usage()) if self._has_usage else b""
        return end + usage + b"data: [DONE]\n\n"

    def whole(self) -> dict[str, Any]:
        """Return the completion without streaming."""
        reply = self._reply
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(reply.words) or None,
            "refusal": reply.refusal or None,
        }
        if reply.calls:
            calls = [self._call(index, *call) for index, call in enumerate(reply.calls)]
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "finish_reason": self._finish_reason}
        return self._head("chat.completion") | {"choices": [choice], "usage": self._usage()}

    def _tool_call(self, index: int, name: str, arguments: Arguments) -> Generator[bytes]:
        call = self._call(index, name, arguments)
        text = call["function"]["arguments"]
        begun = call | {"index": index, "function": {"name": name, "arguments": ""}}
        yield self._delta(tool_calls=[begun])
        for start in range(0, len(text), PART):
            part = {"index": index, "function": {"arguments": text[start : start + PART]}}
            yield self._delta(tool_calls=[part])

    def _call(self, index: int, name: str, arguments: Arguments) -> dict[str, Any]:
        return {
            "id": self._reply.call_id or f"call_{name}_{self._number}_{index}",
            "type": "function",
            "function": {"name": name, "arguments": raw(arguments)},
        }

    def _citations(self) -> list[dict[str, Any]]:
        return [
            {"type": "url_citation", "url_citation": annotation}
            for annotation in self._reply.annotations
            if annotation["type"] == "url_citation"
        ]

    @property
    def _finish_reason(self) -> str:
        if self._reply.incomplete:
            return FINISH_REASONS[self._reply.incomplete]
        return "tool_calls" if self._reply.calls else "stop"

    def _usage(self) -> dict[str, Any]:
        tokens = self._reply.tokens
        return {
            "prompt_tokens": tokens["input"],
            "prompt_tokens_details": {"cached_tokens": tokens["cached"]},
            "completion_tokens": tokens["output"],
            "total_tokens": tokens["input"] + tokens["output"],
        }

    def _delta(self, **delta: Any) -> bytes:
        return self._chunk([{"index": 0, "delta": delta, "finish_reason": None}])

    def _chunk(self, choices: list[dict[str, Any]] | None, **fields: Any) -> bytes:
        return _event(self._head("chat.completion.chunk") | {"choices": choices, **fields})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self._number}", "object": kind, "created": 0, "model": "fake"}


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
