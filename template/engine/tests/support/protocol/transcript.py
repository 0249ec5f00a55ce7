"""Transcripts that can be compared: one line an event, without what differs between runs."""

import json
import re
from collections.abc import Sequence
from difflib import unified_diff
from pathlib import Path
from typing import Any

from chatkit_engine.testing.requests import Json

ID = re.compile(r"\b([a-z]{2,})_[0-9a-f]{32}\b")
CHANGING = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"), "<time>"),
    (re.compile(r"http://(127\.0\.0\.1|localhost):\d+"), "<server>"),
    (re.compile(r"\btoken=[\w.~-]+"), "token=<token>"),
    (re.compile(r'"duration": \d+'), '"duration": "<seconds>"'),
)
TEXT = "assistant_message.content_part.text_delta"
WIDGET_TEXT = "widget.streaming_text.value_delta"
PLACES = {TEXT: "content_index", WIDGET_TEXT: "component_id"}


def joined(events: Sequence[Json]) -> list[Json]:
    """Join adjacent deltas of one text, and keep the last of adjacent states of one thought."""
    result: list[Json] = []
    for event in map(_without_what_follows, events):
        place = _place(event)
        if place is None or not result or _place(result[-1]) != place:
            result.append(event)
        else:
            result[-1] = _merged(result[-1], event)
    return result


def normal(transcript: list[Json]) -> list[Json]:
    """Number the ids by kind, in the order in which they appear, and blank times and addresses."""
    text = json.dumps(transcript, ensure_ascii=False)
    for pattern, placeholder in CHANGING:
        text = pattern.sub(placeholder, text)
    seen: dict[str, list[str]] = {}

    def numbered(found: re.Match[str]) -> str:
        ids = seen.setdefault(found[1], [])
        if found[0] not in ids:
            ids.append(found[0])
        return f"<{found[1]} {ids.index(found[0]) + 1}>"

    return json.loads(ID.sub(numbered, text))


def difference(golden: list[Json], transcript: list[Json]) -> str:
    """Return what differs, event by event; nothing where nothing does."""
    lines = [[line.rstrip(",") for line in _lines(each)] for each in (golden, transcript)]
    return "\n".join(unified_diff(*lines, fromfile="golden", tofile="now", lineterm="", n=1))


def read(path: Path) -> list[Json]:
    return json.loads(path.read_text(encoding="utf-8"))


def write(path: Path, transcript: list[Json]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(_lines(transcript)) + "\n", encoding="utf-8")


def _lines(transcript: list[Json]) -> list[str]:
    """Return the transcript as JSON, an event a line."""
    exchanges = [_exchange_lines(exchange) for exchange in transcript]
    for lines in exchanges[:-1]:
        lines[-1] += ","
    return ["[", *(line for lines in exchanges for line in lines), "]"]


def _exchange_lines(exchange: Json) -> list[str]:
    events = exchange.get("events")
    rest = {name: value for name, value in exchange.items() if name != "events"}
    head = ", ".join(f'"{name}": {_compact(value)}' for name, value in rest.items())
    if events is None:
        return ["{" + head + "}"]
    body = [f"  {_compact(event)}," for event in events]
    last = [line.rstrip(",") for line in body[-1:]]
    return ["{" + head + ', "events": [', *body[:-1], *last, "]}"]


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _without_what_follows(event: Json) -> Json:
    """Return an event without what the SDK may have changed in it before it was sent.

    A workflow that begins is the very object that later events tell of.
    """
    item = event.get("item", {})
    if event["type"] != "thread.item.added" or item["type"] != "workflow":
        return event
    return event | {"item": item | {"workflow": item["workflow"] | {"tasks": "<as they are>"}}}


def _place(event: Json) -> tuple[Any, ...] | None:
    """Return which growing text an event is about, if it is about one."""
    update = event.get("update", {})
    if update.get("task", {}).get("type") == "thought":
        return event["item_id"], "thought", update["task_index"]
    if update.get("type") not in PLACES:
        return None
    return event["item_id"], update["type"], update[PLACES[update["type"]]]


def _merged(before: Json, after: Json) -> Json:
    update = after["update"] | {"type": before["update"]["type"]}
    if "delta" in update:
        update["delta"] = before["update"]["delta"] + update["delta"]
    return after | {"update": update}
