"""Values that fit a JSON schema, for the demo model.

What the demo model answers: a handoff or a tool that is spelled out, a value, or text."""

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

Schema = Mapping[str, Any]

NOTICE = (
    "No model key is set, so a demo model answers. Set LLM_PROVIDER and its key for a real one."
)

TRANSFER = "transfer_to_"
FILLERS = frozenset({"app", "current", "get", "my", "the", "user"})

QUOTED = re.compile(
    r"(?P<mark>\[\d+\]) <(?P<tag>\w+)[^\n]*>\n(?P<text>.*?)\n</(?P=tag)>", re.DOTALL
)

MAX_QUOTED = 600
NOT_SAID = ("Hidden context", "The following graphical UI widget")
T = TypeVar("T")


def value_of(schema: Schema, text: str) -> Any:
    """Return a value that fits the schema. Its texts are the text; lists are as short as may be."""
    return _value(schema, text, schema.get("$defs", {}))


def _value(rule: Schema, text: str, named: Mapping[str, Schema]) -> Any:
    if "$ref" in rule:
        return _value(named[rule["$ref"].rpartition("/")[2]], text, named)
    for fixed in ("default", "const"):
        if fixed in rule:
            return rule[fixed]
    if "enum" in rule:
        return rule["enum"][0]
    if "anyOf" in rule:
        options: list[Schema] = rule["anyOf"]
        return None if {"type": "null"} in options else _value(options[0], text, named)
    return _value_of_type(rule, text, named)


def _value_of_type(rule: Schema, text: str, named: Mapping[str, Schema]) -> Any:
    match rule.get("type"):
        case "object":
            properties: Mapping[str, Schema] = rule.get("properties", {})
            return {name: _value(each, text, named) for name, each in properties.items()}
        case "array":
            return [_value(rule["items"], text, named) for _ in range(rule.get("minItems", 0))]
        case "integer" | "number":
            return max(1, rule.get("minimum", 1))
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return text


class Conversation:
    """What the demo model reads: the last message, and what was done about it since."""

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
        """What follows the message's first colon, or else all of it."""
        return self.message.partition(":")[2].strip() or self.message

    def _read(self, item: dict[str, Any]) -> None:
        if item.get("type") == "function_call":
            self._called[item["call_id"]] = item["name"]
        elif item.get("type") == "function_call_output":
            self._read_output(self._called.get(item["call_id"], ""), str(item["output"]))
        elif item.get("role") == "user" and not (text := _text(item)).startswith(NOT_SAID):
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
    """Hand off once, then call a tool once, then answer: with a value where there is a schema.

    An agent with neither tools nor handoffs answers another agent, who needs no notice.
    """
    if schema is not None:
        return text_message(to_json(value_of(schema, conversation.subject)).decode())
    handoff = _spelled_out(conversation.message, {each.tool_name: each for each in handoffs})
    if handoff is not None and conversation.handed_to is None:
        return _call(handoff.tool_name, {})
    functions = {each.name: each for each in tools if isinstance(each, FunctionTool)}
    tool = _spelled_out(conversation.message, functions)
    if tool is not None and conversation.tool_output is None:
        return _call(tool.name, value_of(tool.params_json_schema, conversation.subject))
    is_first = conversation.messages == 1 and (tools or handoffs)
    notice = f"({NOTICE})\n\n" if is_first else ""
    return text_message(notice + _answer(conversation))


def _answer(conversation: Conversation) -> str:
    """Repeat what a tool answered, with the marks of its sources, or else what the user said."""
    greeting = f"{conversation.handed_to} here. " if conversation.handed_to else ""
    if conversation.tool_output is not None:
        return f"{greeting}The tool answered: {_gist(conversation.tool_output)}"
    return f"{greeting}You said: {conversation.message}"


def _gist(output: str) -> str:
    """Return the first of the passages that a tool quotes, with its mark, or else all it said."""
    quoted = QUOTED.search(output)
    return f"{quoted['text'].strip()[:MAX_QUOTED]} {quoted['mark']}" if quoted else output


def _spelled_out(message: str, named: Mapping[str, T]) -> T | None:
    """Return what most of whose name's words the message has, if it has all that count."""
    said = _words(message)
    found = [
        (len(words), name)
        for name in named
        if (words := _words(name.replace("_", " ")) - FILLERS) and words <= said
    ]
    return named[max(found, key=lambda pair: pair[0])[1]] if found else None


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
