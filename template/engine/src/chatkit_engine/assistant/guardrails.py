"""Guardrails, which refuse messages and answers.

A guardrail is a function of the turn's context and a text. It returns a refusal, which the user
reads instead, or None if the text is allowed. An input guardrail runs before the model is asked, so
a refused message never leaves the server. An output guardrail checks the complete answer; if it
refuses, the part that was already shown is removed.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    OutputGuardrail,
    RunContextWrapper,
)

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.i18n import _
from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.patterns import matcher

BLOCKED_INPUT = _("I cannot help with this message. Please ask something else.")
BLOCKED_OUTPUT = _("I cannot show my answer to this. Please ask something else.")
Guardrail = Callable[[TurnContext, str], str | Awaitable[str | None] | None]


@dataclass(frozen=True)
class Guardrails:
    """The checks of a message before the model is asked, and of its complete answer."""

    input: Sequence[InputGuardrail[TurnContext]] = ()
    output: Sequence[OutputGuardrail[TurnContext]] = ()


def create_guardrails(
    settings: Settings, input_checks: Sequence[Guardrail], output_checks: Sequence[Guardrail]
) -> Guardrails:
    """Return the guardrails of `BLOCKED_INPUT` and `BLOCKED_OUTPUT`, followed by the others."""
    inputs, outputs = [*input_checks], [*output_checks]
    if settings.blocked_input:
        inputs.insert(0, refuse_patterns(settings.blocked_input, BLOCKED_INPUT))
    if settings.blocked_output:
        outputs.insert(0, refuse_patterns(settings.blocked_output, BLOCKED_OUTPUT))
    return Guardrails(
        input=[_input_guardrail(check) for check in inputs],
        output=[_output_guardrail(check) for check in outputs],
    )


def refuse_patterns(patterns: Sequence[str], refusal: str) -> Guardrail:
    """Return a guardrail that refuses texts in which any of these regular expressions matches.

    Case is ignored. The syntax is RE2's, which has no look-around and no back-references, because
    a match must not take longer than the text is long.

    Raises:
        ValueError: a pattern is not valid.
    """
    is_blocked = matcher(patterns)
    return lambda context, text: refusal if is_blocked(text) else None


def _input_guardrail(check: Guardrail) -> InputGuardrail[TurnContext]:
    async def run(
        ctx: RunContextWrapper[TurnContext], agent: Agent[Any], input: Any
    ) -> GuardrailFunctionOutput:
        # Not `input`, which is the whole history and not only the new message.
        return await _run_check(check, ctx.context, ctx.context.question)

    # Not in parallel: the model must not be asked before the message is allowed.
    return InputGuardrail(run, name=_name(check), run_in_parallel=False)


def _output_guardrail(check: Guardrail) -> OutputGuardrail[TurnContext]:
    async def run(
        ctx: RunContextWrapper[TurnContext], agent: Agent[Any], output: Any
    ) -> GuardrailFunctionOutput:
        return await _run_check(check, ctx.context, str(output or ""))

    return OutputGuardrail(run, name=_name(check))


async def _run_check(check: Guardrail, context: TurnContext, text: str) -> GuardrailFunctionOutput:
    refusal = check(context, text)
    if isawaitable(refusal):
        refusal = await refusal
    return GuardrailFunctionOutput(output_info=refusal, tripwire_triggered=refusal is not None)


def _name(check: Guardrail) -> str:
    return getattr(check, "__name__", "guardrail")
