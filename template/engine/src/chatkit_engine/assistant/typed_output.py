"""An agent whose answer is a value of a type: checked, asked for again, and given up in words."""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from agents import Agent, AgentOutputSchema, RunContextWrapper, Runner, TResponseInputItem
from agents.tool_context import ToolContext
from chatkit.errors import CustomStreamError
from pydantic import BaseModel, ValidationError

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.failures import NO_VALID_RESULT, describe_problems

ATTEMPTS = 3
AGAIN = "Your answer does not fit the schema: {}. Answer again, with JSON that fits it."
T = TypeVar("T", bound=BaseModel)


class UncheckedSchema(AgentOutputSchema):
    """A type's schema for the model. The answer stays a text, so that we can say what is wrong."""

    def validate_json(self, json_str: str) -> str:
        return json_str


async def run_typed(
    agent: Agent[TurnContext], kind: type[T], input: str, ctx: ToolContext[TurnContext]
) -> T:
    """Run the agent in a tool, in the tool's own context, and return its answer as a `kind`.

    Raises:
        CustomStreamError: the answer was not valid three times. It ends the turn with its message.
    """
    typed = agent.clone(output_type=UncheckedSchema(kind))
    conversation: list[TResponseInputItem] = [{"role": "user", "content": input}]
    for _ in range(ATTEMPTS):
        answer = await _answer(typed, conversation, ctx)
        try:
            return kind.model_validate_json(answer, strict=True)
        except ValidationError as error:
            again = AGAIN.format(describe_problems(error))
            conversation.append({"role": "assistant", "content": answer})
            conversation.append({"role": "user", "content": again})
    raise CustomStreamError(NO_VALID_RESULT, allow_retry=True)


async def _answer(
    agent: Agent[TurnContext],
    conversation: Sequence[TResponseInputItem],
    ctx: ToolContext[TurnContext],
) -> str:
    """Run the agent once. What it uses counts as the turn's, also when it fails."""
    shared = RunContextWrapper(ctx.context, usage=ctx.usage)
    result = Runner.run_streamed(
        agent, list(conversation), context=cast(Any, shared), run_config=ctx.run_config
    )
    try:
        async for _ in result.stream_events():
            pass
    finally:
        if not result.is_complete:
            result.cancel()
    return str(result.final_output)
