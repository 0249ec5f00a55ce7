"""Writes ChatKit requests and reads the responses, as a front end does."""

import json
from collections.abc import Iterator
from typing import Any, cast

Json = dict[str, Any]
SYNC_ACTION = "threads.sync_custom_action"
ACTION_DEFAULTS: Json = {"handler": "server", "loadingBehavior": "auto", "streaming": True}


def message(text: str, *attachments: str) -> Json:
    """Return a user's message with the ids of its attachments."""
    content = [{"type": "input_text", "text": text}]
    return {"content": content, "attachments": list(attachments), "inference_options": {}}


def op(type_: str, **params: Any) -> Json:
    """Return a request of ChatKit's protocol, such as `op("threads.list", limit=20)`."""
    return {"type": type_, "params": params}


def create(text: str, metadata: Json | None = None) -> Json:
    """Return a request that opens a thread with a message.

    `metadata` is what the front end says of itself, such as `{"timezone": "Europe/Berlin"}`.
    """
    return op("threads.create", input=message(text)) | {"metadata": metadata or {}}


def add(thread_id: str, text: str) -> Json:
    """Return a request that adds a message to a thread."""
    return op("threads.add_user_message", thread_id=thread_id, input=message(text))


def press(item: Json, action: Json, **form: Any) -> Json:
    """Return the request of a front end whose user triggers an action in a widget.

    `item` is the widget's item and `action` one of `actions_of(item, ...)`. `form` are the fields
    of the form that the action submits; they join the payload.
    """
    kind = "threads.custom_action" if action.get("streaming", True) else SYNC_ACTION
    payload: Json = {**(action.get("payload") or {}), **form}
    pressed = {"type": action["type"], "payload": payload}
    return op(kind, thread_id=item["thread_id"], item_id=item["id"], action=pressed)


def client_tool_output(thread_id: str, output: Any) -> Json:
    """Return the request of a front end that has run a client tool."""
    return op("threads.add_client_tool_output", thread_id=thread_id, result=output)


def events(body: str | bytes) -> list[Json]:
    """Return a stream's events, without comments."""
    text = body.decode() if isinstance(body, bytes) else body
    return [json.loads(block[6:]) for block in text.split("\n\n") if block.startswith("data: ")]


def named_events(body: str) -> list[tuple[str, Json]]:
    """Return the named events of `/api/chat`'s stream."""
    blocks = [block.split("\n") for block in body.split("\n\n") if block]
    return [(block[0][7:], json.loads(block[1][6:])) for block in blocks]


def answer(streamed: list[Json]) -> str:
    """Return the text of the answer, joined from its deltas."""
    updates = (event["update"] for event in streamed if event["type"] == "thread.item.updated")
    return "".join(update.get("delta", "") for update in updates)


def thread_id(streamed: list[Json]) -> str:
    """Return the id of the thread that the request has opened."""
    return next(e["thread"]["id"] for e in streamed if e["type"] == "thread.created")


def text_of(item: Json) -> str:
    """Join the texts of a message's parts."""
    return "".join(part["text"] for part in item["content"])


def items_of(streamed: list[Json], kind: str, event: str = "thread.item.done") -> list[Json]:
    """Return the items of one type from the events of one type."""
    found = (each["item"] for each in streamed if each["type"] == event)
    return [item for item in found if item["type"] == kind]


def events_of(streamed: list[Json], kind: str) -> list[Json]:
    """Return the events of one type, for example `notice`, `client_effect` or `progress_update`."""
    return [event for event in streamed if event["type"] == kind]


def actions_of(item: Json, kind: str) -> list[Json]:
    """Return the actions of one type in a widget, from top to bottom."""
    return [action for action in _actions(item["widget"]) if action["type"] == kind]


def _actions(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        for name, each in cast(Json, value).items():
            if name == "action" or name.endswith("Action"):
                yield each
            else:
                yield from _actions(each)
    elif isinstance(value, list):
        for each in cast(list[Any], value):
            yield from _actions(each)


def without_defaults(value: Any) -> Any:
    """Return an item without the defaults of widgets' actions, which storing it makes explicit."""
    if isinstance(value, list):
        return [without_defaults(each) for each in cast(list[Any], value)]
    if not isinstance(value, dict):
        return value
    fields = cast(Json, value)
    kept = {name: each for name, each in fields.items() if ACTION_DEFAULTS.get(name) != each}
    return {name: without_defaults(each) for name, each in kept.items()}
