"""Reads a model's requests in either wire format, and checks them as an API would."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from chatkit_engine.testing.fake_model_api.reply import text_of

Json = dict[str, Any]
Kind = Literal["user", "assistant", "call", "output"]


@dataclass(frozen=True)
class Said:
    """One thing that a request says. `id` is a call's; `text` is a call's name, else its words."""

    kind: Kind
    text: str
    id: str = ""


def read(request: Json) -> list[Said]:
    """Return what the request says, oldest first, without its instructions.

    Fails on what an API refuses: a call without its output or an output without its call, an id
    that is used twice, arguments that are no JSON object.
    """
    messages: list[Json] | None = request.get("messages")
    said = _chat(messages) if messages is not None else _responses(request["input"])
    _check(said)
    return said


def request_bytes(request: Json) -> int:
    """Return how many bytes the request's conversation has."""
    messages = [m for m in request.get("messages", ()) if m["role"] != "system"]
    return len(json.dumps(messages or request["input"], ensure_ascii=False).encode())


def _responses(items: list[Json]) -> list[Said]:
    said: list[Said] = []
    for item in items:
        match item.get("type", "message"):
            case "function_call":
                assert isinstance(json.loads(item["arguments"]), dict)
                said.append(Said("call", item["name"], item["call_id"]))
            case "function_call_output":
                said.append(Said("output", str(item["output"]), item["call_id"]))
            case "message":
                said.append(Said(item["role"], text_of(item).strip()))
            case _:
                pass
    return said


def _chat(messages: list[Json]) -> list[Said]:
    said: list[Said] = []
    for message in messages:
        if message["role"] == "system":
            continue
        if message["role"] == "tool":
            said.append(Said("output", text_of(message), message["tool_call_id"]))
            continue
        if text := text_of(message).strip():
            said.append(Said(message["role"], text))
        for call in message.get("tool_calls") or ():
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            said.append(Said("call", call["function"]["name"], call["id"]))
    return said


def _check(said: list[Said]) -> None:
    calls = Counter(each.id for each in said if each.kind == "call")
    outputs = Counter(each.id for each in said if each.kind == "output")
    assert calls == outputs, "a call without its output, or the other way round"
    assert set(calls.values()) <= {1}, "a call's id is used twice"
    places = {each.id: place for place, each in enumerate(said) if each.kind == "call"}
    for place, each in enumerate(said):
        assert each.kind != "output" or places[each.id] < place, "an output before its call"
