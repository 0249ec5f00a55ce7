"""Runs an agent that must return a type; retries, then fails with a message."""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

from agents import Agent, AgentOutputSchema, RunContextWrapper, Runner, TResponseInputItem
from agents.tool_context import ToolContext
from chatkit.errors import CustomStreamError
from pydantic import BaseModel, ValidationError

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.failures import NO_VALID_RESULT, describe_problems
from chatkit_engine.assistant.trust import TrustHooks

ATTEMPTS = 3
RETRY = "Your answer does not fit the schema: {}. Answer again, with JSON that fits it."
T = TypeVar("T", bound=BaseModel)


class UncheckedSchema(AgentOutputSchema):
    """A type's schema for the model, without the SDK's validation.

    We validate the answer ourselves, because the model must be told what is wrong with it.
    """

    def validate_json(self, json_str: str) -> str:
        return json_str


async def run_typed(
    agent: Agent[TurnContext], kind: type[T], input: str, ctx: ToolContext[TurnContext]
) -> T:
    """Run the agent inside a tool, with the tool's context, and return its answer as a `kind`.

    Raises:
        CustomStreamError: three answers were invalid. The turn ends with the error's message.
    """
    typed = agent.clone(output_type=UncheckedSchema(kind))
    conversation: list[TResponseInputItem] = [{"role": "user", "content": input}]
    for _ in range(ATTEMPTS):
        answer = await _run_once(typed, conversation, ctx)
        try:
            # Strict: otherwise "5" would pass as a number, which the schema forbids.
            return kind.model_validate_json(answer, strict=True)
        except ValidationError as error:
            conversation.append({"role": "assistant", "content": answer})
            conversation.append({"role": "user", "content": RETRY.format(describe_problems(error))})
    raise CustomStreamError(NO_VALID_RESULT, allow_retry=True)


async def _run_once(
    agent: Agent[TurnContext],
    conversation: Sequence[TResponseInputItem],
    ctx: ToolContext[TurnContext],
) -> str:
    """Run the agent once. Its tokens count as the turn's, even if it fails."""
    # The SDK accepts a context wrapper too, and then adds to its usage. Its type hint omits that.
    shared = RunContextWrapper(ctx.context, usage=ctx.usage)
    result = Runner.run_streamed(
        agent,
        list(conversation),
        context=cast(Any, shared),
        run_config=ctx.run_config,
        hooks=TrustHooks(),
    )
    try:
        async for _ in result.stream_events():
            pass
    finally:
        # The SDK runs the agent in a task of its own, which would go on after a cancellation.
        if not result.is_complete:
            result.cancel()
    return str(result.final_output)
