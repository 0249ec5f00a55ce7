"""Protection against instructions hidden in texts that the model reads.

A file, a page, a document or another server may contain instructions. Such a text is marked as
data, but a model may follow it all the same. That is why every tool that does more than read needs
the user's approval once an untrusted text is among what the model reads, in this turn or in an
earlier one of the thread. The model's answer may repeat the text, so a thread that another turn
searches or names is untrusted too.

Untrusted is whatever the user has not written into the chat: attachments, the page and the
selection, outputs of the front end's tools, quotes from elsewhere, and what a tool marks. The
provider runs hosted tools itself, so nobody can approve a call of theirs: while a thread is
untrusted, the model is offered only those that read.
"""

import re
from collections.abc import Iterable, Sequence
from copy import copy
from typing import Any, TypeVar

from agents import (
    Agent,
    FileSearchTool,
    FunctionTool,
    ImageGenerationTool,
    ModelResponse,
    RunContextWrapper,
    RunHooks,
    Tool,
    WebSearchTool,
)
from chatkit.types import ClientToolCallItem, UserMessageItem
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.store.items import StoredItem, ToolCall, item_text

READ_ONLY = "reads_only"
HOSTED_READERS = (FileSearchTool, ImageGenerationTool, WebSearchTool)
# What a model writes by itself. Any other output, for example of a search, has other texts in it.
OWN_OUTPUTS = {"message", "reasoning", "function_call", "image_generation_call", "compaction"}
# Also symbols and invisible characters, which can hide an order. ASCII's signs are Markdown.
WORD = re.compile(r"[\w\x7f-\U0010ffff]+")
T = TypeVar("T", bound=Tool)


def read_only(tool: T) -> T:
    """Mark a tool that changes nothing: it only reads, or shows the user something."""
    vars(tool)[READ_ONLY] = True
    return tool


def restrict_tools(tools: Sequence[Tool], context: TurnContext) -> list[Tool]:
    """Return the tools that the model may have now, those with effects only after approval."""
    if context.reads_untrusted:
        return [tool for each in tools if (tool := _require_approval(each))]
    if all(isinstance(tool, FunctionTool) for tool in tools):
        return [*tools]
    # A hosted tool may read in the same response in which the model calls a function.
    return [_require_approval_after_reading(tool) for tool in tools]


def _require_approval(tool: Tool) -> Tool | None:
    """Return the tool so that it needs approval, unless it only reads. None if it cannot."""
    if _only_reads(tool):
        return tool
    return _with_approval(tool, True) if isinstance(tool, FunctionTool) else None


def _require_approval_after_reading(tool: Tool) -> Tool:
    if not isinstance(tool, FunctionTool) or _only_reads(tool) or tool.needs_approval is not False:
        return tool
    return _with_approval(tool, _reads_untrusted)


async def _reads_untrusted(
    ctx: RunContextWrapper[TurnContext], arguments: dict[str, Any], call_id: str
) -> bool:
    return ctx.context.reads_untrusted


def _only_reads(tool: Tool) -> bool:
    return isinstance(tool, HOSTED_READERS) or READ_ONLY in vars(tool)


def _with_approval(tool: FunctionTool, needs_approval: Any) -> FunctionTool:
    # A copy, because other turns share the tool.
    approved = copy(tool)
    approved.needs_approval = needs_approval
    return approved


class TrustHooks(RunHooks[TurnContext]):
    """Marks the thread when a hosted tool has read, before the calls of that response are made."""

    async def on_llm_end(
        self,
        context: RunContextWrapper[TurnContext],
        agent: Agent[TurnContext],
        response: ModelResponse,
    ) -> None:
        if any(_has_read(output) for output in response.output):
            await context.context.mark_input_untrusted()


def _has_read(output: Any) -> bool:
    """Return whether a model's output comes from a hosted tool, or cites what one has read."""
    if not isinstance(output, ResponseOutputMessage):
        return output.type not in OWN_OUTPUTS
    texts = [part for part in output.content if isinstance(part, ResponseOutputText)]
    return any(text.annotations for text in texts)


def has_untrusted(history: Sequence[StoredItem]) -> bool:
    """Return whether the history contains a text that the user has not written into the chat."""
    return any(_is_untrusted(item, history) for item in history)


def _is_untrusted(item: StoredItem, history: Iterable[StoredItem]) -> bool:
    match item:
        case ToolCall():
            return item.untrusted
        case ClientToolCallItem():
            return item.status == "completed"
        case UserMessageItem():
            return bool(item.attachments) or not _is_from(item.quoted_text or "", history)
        case _:
            return False


def _is_from(quote: str, history: Iterable[StoredItem]) -> bool:
    """Return whether a message has the quoted words. Its Markdown is not among what is quoted."""
    quoted = _words(quote)
    return not quoted or any(quoted in _words(item_text(item)) for item in history)


def _words(text: str) -> str:
    return " ".join(word for part in text.split() for word in WORD.findall(part))
