"""ChatKit requests and answers, as a front end writes and reads them."""

import json
from typing import Any, cast

Json = dict[str, Any]

ACTION_DEFAULTS: Json = {"handler": "server", "loadingBehavior": "auto", "streaming": True}


def message(text: str, *attachments: str) -> Json:
    content = [{"type": "input_text", "text": text}]
    return {"content": content, "attachments": list(attachments), "inference_options": {}}


def op(type_: str, **params: Any) -> Json:
    return {"type": type_, "params": params}


def create(text: str, metadata: Json | None = None) -> Json:
    return op("threads.create", input=message(text)) | {"metadata": metadata or {}}


def add(thread_id: str, text: str) -> Json:
    return op("threads.add_user_message", thread_id=thread_id, input=message(text))


def events(body: str | bytes) -> list[Json]:
    """Return a stream's events; comments are left out."""
    text = body.decode() if isinstance(body, bytes) else body
    return [json.loads(block[6:]) for block in text.split("\n\n") if block.startswith("data: ")]


def named_events(body: str) -> list[tuple[str, Json]]:
    """Return the named events of `/api/chat`'s stream."""
    blocks = [block.split("\n") for block in body.split("\n\n") if block]
    return [(block[0][7:], json.loads(block[1][6:])) for block in blocks]


def answer(streamed: list[Json]) -> str:
    """Join the text deltas."""
    updates = (event["update"] for event in streamed if event["type"] == "thread.item.updated")
    return "".join(update.get("delta", "") for update in updates)


def thread_id(streamed: list[Json]) -> str:
    return next(e["thread"]["id"] for e in streamed if e["type"] == "thread.created")


def text_of(item: Json) -> str:
    """Join the texts of a message's parts."""
    return "".join(part["text"] for part in item["content"])


def items_of(streamed: list[Json], kind: str, event: str = "thread.item.done") -> list[Json]:
    """Return the items of a kind that the events of a type brought."""
    found = (each["item"] for each in streamed if each["type"] == event)
    return [item for item in found if item["type"] == kind]


def without_defaults(value: Any) -> Any:
    """Return an item without what storing it makes explicit: the defaults of widgets' actions."""
    if isinstance(value, list):
        return [without_defaults(each) for each in cast(list[Any], value)]
    if not isinstance(value, dict):
        return value
    fields = cast(Json, value)
    kept = {name: each for name, each in fields.items() if ACTION_DEFAULTS.get(name) != each}
    return {name: without_defaults(each) for name, each in kept.items()}
