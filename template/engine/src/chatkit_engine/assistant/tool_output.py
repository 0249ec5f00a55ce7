"""Converts a tool's result to what the model reads: valid text of limited length, or JSON."""

from typing import Any, cast

from agents import ToolOutputFileContent, ToolOutputImage, ToolOutputText
from agents.tool_context import ToolContext
from pydantic import BaseModel

from chatkit_engine.assistant.context import TurnContext

MAX_OUTPUT = 50_000
CUT = "\n(The rest of the output was left out.)"
SDK_CONTENT = ToolOutputText | ToolOutputImage | ToolOutputFileContent


def result_for_model(ctx: ToolContext[TurnContext], output: Any) -> Any:
    """Return a tool's result for the model: text of at most 50,000 characters, or JSON.

    A pydantic model is also kept in `ctx.context.results`, because clients get it as a value.
    """
    if isinstance(output, str):
        return limit_text(output)
    if not isinstance(output, BaseModel) or isinstance(output, SDK_CONTENT):
        return output
    ctx.context.results[ctx.tool_call_id] = output.model_dump(mode="json")
    return output.model_dump_json()


def output_text(output: object) -> str:
    """Return the text of a tool's output, with a placeholder for each part that has none."""
    if isinstance(output, str):
        return limit_text(output)
    parts = cast(list[dict[str, Any]], output) if isinstance(output, list) else []
    return limit_text("\n".join(str(part.get("text", f"({part.get('type')})")) for part in parts))


def limit_text(text: str) -> str:
    """Return valid text of at most 50,000 characters, plus a note if it was cut."""
    return repair_surrogates(text if len(text) <= MAX_OUTPUT else text[:MAX_OUTPUT] + CUT)


def repair_surrogates(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates, because those cannot be sent as UTF-8."""
    if text.isascii():
        return text
    # UTF-16 is the encoding that knows surrogate pairs, so decoding joins them.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
