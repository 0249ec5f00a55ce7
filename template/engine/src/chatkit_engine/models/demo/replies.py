"""Chooses the demo model's reply: a handoff or a tool call that the message names, or text."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from agents import FunctionTool, Handoff, Tool, TResponseInputItem
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputItem,
)
from pydantic_core import to_json

from chatkit_engine.models.text_model import text_message
from chatkit_engine.store.ids import new_id

NOTICE = (
    "No model key is set, so a demo model answers. Set LLM_PROVIDER and its key for a real one."
)
TRANSFER = "transfer_to_"
# Words of tool names that a message need not repeat.
FILLERS = frozenset({"app", "current", "get", "my", "the", "user"})
# A passage that a tool quotes, with the mark of its source.
QUOTED = re.compile(
    r"(?P<mark>\[\d+\]) <(?P<tag>\w+)[^\n]*>\n(?P<text>.*?)\n</(?P=tag)>", re.DOTALL
)
MAX_QUOTED = 600
MAX_SEARCHED = 6_000
# User messages that the user has not written.
GENERATED_PREFIXES = ("Hidden context", "The following graphical UI widget")

Schema = Mapping[str, Any]
T = TypeVar("T")


class Conversation:
    """The last message of the input, and the tool outputs and handoffs since."""

    def __init__(self, input: str | list[TResponseInputItem]) -> None:
        self.message = ""
        self.messages = 0
        self.tool_output: str | None = None
        self.handed_to: str | None = None
        self._called: dict[str, str] = {}
        turns = [{"role": "user", "content": input}] if isinstance(input, str) else input
        for item in cast(list[dict[str, Any]], turns):
            self._read(item)

    @property
    def subject(self) -> str:
        """The part of the message after its first colon, or else all of it."""
        return self.message.partition(":")[2].strip() or self.message

    def _read(self, item: dict[str, Any]) -> None:
        if item.get("type") == "function_call":
            self._called[item["call_id"]] = item["name"]
        elif item.get("type") == "function_call_output":
            self._read_output(self._called.get(item["call_id"], ""), str(item["output"]))
        elif item.get("role") == "user" and not (text := _text(item)).startswith(
            GENERATED_PREFIXES
        ):
            self.message = text
            self.messages += 1
            self.tool_output = self.handed_to = None

    def _read_output(self, name: str, output: str) -> None:
        if name.startswith(TRANSFER):
            self.handed_to = name.removeprefix(TRANSFER).capitalize()
        else:
            self.tool_output = output


def reply_to(
    conversation: Conversation,
    tools: Sequence[Tool],
    handoffs: Sequence[Handoff[Any, Any]],
    schema: Mapping[str, Any] | None,
) -> ResponseOutputItem:
    """Hand off once, then call a tool once, then answer. A schema is filled in at once."""
    if schema is not None:
        return text_message(to_json(value_of(schema, conversation.subject)).decode())
    handoff = _mentioned(conversation.message, {each.tool_name: each for each in handoffs})
    if handoff is not None and conversation.handed_to is None:
        return _call(handoff.tool_name, {})
    functions = {each.name: each for each in tools if isinstance(each, FunctionTool)}
    tool = _mentioned(conversation.message, functions)
    if tool is not None and conversation.tool_output is None:
        return _call(tool.name, value_of(tool.params_json_schema, conversation.subject))
    # An agent without tools and handoffs is used as a tool, so its answer needs no notice.
    is_first = conversation.messages == 1 and (tools or handoffs)
    notice = f"({NOTICE})\n\n" if is_first else ""
    return text_message(notice + _answer(conversation))


def _answer(conversation: Conversation) -> str:
    """Repeat the tool's output, or else the user's message."""
    greeting = f"{conversation.handed_to} here. " if conversation.handed_to else ""
    if conversation.tool_output is not None:
        return f"{greeting}The tool answered: {_first_quote(conversation.tool_output)}"
    return f"{greeting}You said: {conversation.message}"


def _first_quote(output: str) -> str:
    """Return the first passage that a tool quotes, with its mark, or else the whole output."""
    # The pattern is quadratic in outputs that begin many passages and end none.
    quoted = QUOTED.search(output, 0, MAX_SEARCHED)
    return f"{quoted['text'].strip()[:MAX_QUOTED]} {quoted['mark']}" if quoted else output


def _mentioned(message: str, named: Mapping[str, T]) -> T | None:
    """Return the value whose name's words are all in the message; the longest name wins."""
    message_words = _words(message)
    matches = [
        (len(words), name)
        for name in named
        if (words := _words(name.replace("_", " ")) - FILLERS) and words <= message_words
    ]
    return named[max(matches, key=lambda pair: pair[0])[1]] if matches else None


def _words(text: str) -> set[str]:
    return {word.removesuffix("s") for word in re.findall(r"[a-z]+", text.lower())}


def _text(item: dict[str, Any]) -> str:
    content = item["content"]
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in content)


def _call(name: str, arguments: dict[str, Any]) -> ResponseFunctionToolCall:
    return ResponseFunctionToolCall(
        id=new_id("fc"),
        call_id=new_id("call"),
        name=name,
        arguments=to_json(arguments).decode(),
        type="function_call",
    )


def value_of(schema: Schema, text: str) -> Any:
    """Return a value that fits the JSON schema. Strings are `text`; lists are minimal."""
    return _value(schema, text, schema.get("$defs", {}))


def _value(rule: Schema, text: str, definitions: Mapping[str, Schema]) -> Any:
    if "$ref" in rule:
        return _value(definitions[rule["$ref"].rpartition("/")[2]], text, definitions)
    for fixed in ("default", "const"):
        if fixed in rule:
            return rule[fixed]
    if "enum" in rule:
        return rule["enum"][0]
    if "anyOf" in rule:
        options: list[Schema] = rule["anyOf"]
        return None if {"type": "null"} in options else _value(options[0], text, definitions)
    return _value_of_type(rule, text, definitions)


def _value_of_type(rule: Schema, text: str, definitions: Mapping[str, Schema]) -> Any:
    match rule.get("type"):
        case "object":
            properties: Mapping[str, Schema] = rule.get("properties", {})
            return {name: _value(each, text, definitions) for name, each in properties.items()}
        case "array":
            return [
                _value(rule["items"], text, definitions) for _ in range(rule.get("minItems", 0))
            ]
        case "integer" | "number":
            return max(1, rule.get("minimum", 1))
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return text
