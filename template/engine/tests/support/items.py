"""One thread item of each kind, with each kind of thing that can be in it."""

from typing import Any

from chatkit.types import ThreadItem
from pydantic import TypeAdapter

FILE_SOURCE = {"type": "file", "title": "A file", "filename": "a.pdf", "group": "g"}
URL_SOURCE = {
    "type": "url",
    "title": "A page",
    "url": "https://a.example/?q=%20",
    "attribution": "A",
}
ENTITY_SOURCE = {
    "type": "entity",
    "title": "An entity",
    "id": "ent_1",
    "icon": "book-open",
    "interactive": True,
    "data": {"nested": {"null": None, "list": [1, 2.5, "x"]}},
}
TASKS: list[dict[str, Any]] = [
    {"type": "custom", "title": "Custom", "icon": "sparkle", "content": "words"},
    {"type": "web_search", "title_query": "q", "queries": ["a", "b"], "sources": [URL_SOURCE]},
    {"type": "thought", "title": "Thought", "content": "hm", "status_indicator": "loading"},
    {"type": "file", "title": "Files", "sources": [FILE_SOURCE]},
    {"type": "image", "title": "Image", "status_indicator": "complete"},
]
ATTACHMENTS = [
    {
        "type": "file",
        "id": "atc_1",
        "name": "a.txt",
        "mime_type": "text/plain",
        "upload_descriptor": {
            "url": "https://b.example/put?x=1",
            "method": "PUT",
            "headers": {"a": "b"},
        },
    },
    {
        "type": "image",
        "id": "atc_2",
        "name": "b.png",
        "mime_type": "image/png",
        "preview_url": "https://b.example/b.png",
        "thread_id": "thr_1",
        "metadata": {"private": None},
    },
]
OPTIONS = {"tool_choice": {"id": "tool"}, "model": "a-model"}
WIDGETS: list[dict[str, Any]] = [
    {
        "type": "Card",
        "size": "sm",
        "confirm": {"label": "OK", "action": {"type": "go", "payload": {"a": [1]}}},
        "children": [
            {"type": "Text", "id": "t", "value": "text", "streaming": True},
            {"type": "Transition", "children": None},
            {"type": "Button", "label": "Press", "onClickAction": {"type": "go"}},
        ],
    },
    {"type": "ListView", "children": [{"type": "ListViewItem", "children": []}], "limit": "auto"},
    {"type": "Basic", "children": [{"type": "Title", "value": "title"}], "theme": "dark"},
    {"type": "Card", "children": [{"type": "FromTheFuture", "value": {"a": [1]}}]},
]
INPUTS = [
    {
        "type": "multiple_choice",
        "id": "q1",
        "question": "Which?",
        "options": [{"value": "a"}, {"value": "b"}],
        "multiple": True,
        "answer": {"values": ["a", "own words"]},
    },
    {"type": "freeform", "id": "q2", "question": "Why?", "description": "In short"},
    {"type": "freeform", "id": "q3", "question": "When?", "answer": {"skipped": True}},
]
CALL = {"type": "client_tool_call", "call_id": "call_1", "name": "tool", "arguments": {"a": [None]}}
HIDDEN: list[Any] = ["text", None, 0, False, 1.5, [], {}, {"a": None, "b": [{"c": None}]}]

_ITEMS: list[dict[str, Any]] = [
    {
        "type": "user_message",
        "content": [
            {"type": "input_text", "text": "hello"},
            {"type": "input_tag", "id": "t", "text": "@a", "data": {"x": None}, "group": "g"},
        ],
        "attachments": ATTACHMENTS,
        "quoted_text": "quoted",
        "inference_options": OPTIONS,
    },
    {"type": "user_message", "content": [], "inference_options": {}},
    {
        "type": "assistant_message",
        "content": [
            {
                "type": "output_text",
                "text": "answer",
                "annotations": [
                    {"source": source, "index": index}
                    for index, source in enumerate([FILE_SOURCE, URL_SOURCE, ENTITY_SOURCE])
                ],
            },
            {"type": "output_text", "text": ""},
        ],
    },
    {**CALL, "status": "pending"},
    *({**CALL, "status": "completed", "output": output} for output in HIDDEN),
    *({"type": "widget", "widget": widget, "copy_text": "copied"} for widget in WIDGETS),
    {"type": "generated_image", "image": {"id": "img", "url": "data:image/png;base64,AA=="}},
    {"type": "generated_image"},
    {"type": "structured_input", "status": "answered", "inputs": INPUTS},
    {"type": "structured_input", "inputs": []},
    *({"type": "task", "task": task} for task in TASKS),
    {
        "type": "workflow",
        "workflow": {
            "type": "custom",
            "tasks": TASKS,
            "summary": {"title": "Done", "icon": "check"},
            "expanded": True,
        },
    },
    {
        "type": "workflow",
        "workflow": {"type": "reasoning", "tasks": [], "summary": {"duration": 3}},
    },
    *({"type": "hidden_context_item", "content": content} for content in HIDDEN),
    {"type": "sdk_hidden_context", "content": "for the SDK"},
    {"type": "end_of_turn"},
]


_ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)


def every_item(thread_id: str) -> list[ThreadItem]:
    """Return items of every kind, for a thread, as the protocol reads them."""
    common = {"thread_id": thread_id, "created_at": "2026-01-01T00:00:00Z"}
    return [
        _ITEM.validate_python({**common, "id": f"item_{number}", **fields})
        for number, fields in enumerate(_ITEMS)
    ]
