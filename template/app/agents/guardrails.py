"""What a message and an answer may not have in them: patterns from the settings.

An input guardrail runs before the model is asked, so that nothing of the message leaves. An output
guardrail judges the whole answer; what was shown of it by then is taken back.
"""

import re
from collections.abc import Sequence
from typing import Any

from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    OutputGuardrail,
    RunContextWrapper,
)

from app.chat.assistant import Guardrails
from app.chat.context import AssistantContext
from app.i18n import _
from app.settings import Settings

BLOCKED_INPUT = _("I cannot help with this message. Please ask something else.")
BLOCKED_OUTPUT = _("I cannot show my answer to this. Please ask something else.")


def create_guardrails(settings: Settings) -> Guardrails:
    """Return the guardrails that the settings ask for."""
    return Guardrails(
        input=[_input_guardrail(settings.blocked_input)] if settings.blocked_input else [],
        output=[_output_guardrail(settings.blocked_output)] if settings.blocked_output else [],
    )


def _input_guardrail(patterns: Sequence[str]) -> InputGuardrail[AssistantContext]:
    blocked = _any_of(patterns)

    async def check(
        ctx: RunContextWrapper[AssistantContext], agent: Agent[Any], input: Any
    ) -> GuardrailFunctionOutput:
        return _verdict(blocked, ctx.context.question, BLOCKED_INPUT)

    return InputGuardrail(check, name="blocked_input", run_in_parallel=False)


def _output_guardrail(patterns: Sequence[str]) -> OutputGuardrail[AssistantContext]:
    blocked = _any_of(patterns)

    async def check(
        ctx: RunContextWrapper[AssistantContext], agent: Agent[Any], output: Any
    ) -> GuardrailFunctionOutput:
        return _verdict(blocked, str(output or ""), BLOCKED_OUTPUT)

    return OutputGuardrail(check, name="blocked_output")


def _any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


def _verdict(blocked: re.Pattern[str], text: str, message: str) -> GuardrailFunctionOutput:
    found = blocked.search(text) is not None
    return GuardrailFunctionOutput(output_info=message, tripwire_triggered=found)
