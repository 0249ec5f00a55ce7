"""NEW: chatkit_engine.assistant.tool_output"""

from typing import Any, cast

from agents import (
    ToolOutputFileContent,
    ToolOutputImage,
    ToolOutputText,
)
from agents.tool_context import ToolContext
from pydantic import BaseModel

from chatkit_engine.assistant.context import TurnContext

MAX_OUTPUT = 50_000
CUT = "\n(The rest of the output was left out.)"


def bounded_text(output: str) -> str:
    """Return a tool's output as a model is told it: not too long, and without half characters."""
    return whole_text(output if len(output) <= MAX_OUTPUT else output[:MAX_OUTPUT] + CUT)


def output_text(output: object) -> str:
    if isinstance(output, str):
        return bounded_text(output)
    parts = cast(list[dict[str, Any]], output) if isinstance(output, list) else []
    return bounded_text("\n".join(str(part.get("text", f"({part.get('type')})")) for part in parts))


def whole_text(text: str) -> str:
    """Return the text with surrogate pairs joined and lone ones replaced, as UTF-8 needs it."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


CONTENT = ToolOutputText | ToolOutputImage | ToolOutputFileContent


def result_for_model(ctx: ToolContext[TurnContext], output: Any) -> Any:
    """Return what the model is given: bounded text; a typed result as JSON, remembered too."""
    if isinstance(output, str):
        return bounded_text(output)
    if not isinstance(output, BaseModel) or isinstance(output, CONTENT):
        return output
    ctx.context.results[ctx.tool_call_id] = output.model_dump(mode="json")
    return output.model_dump_json()
