"""Messages for the user when a run fails, and for the model when a tool fails.

The exceptions go to the log only: neither a client nor the model ever gets their text, because it
may contain secrets.
"""

from collections.abc import Sequence
from typing import Any

import structlog
from agents import MaxTurnsExceeded, ModelBehaviorError, RunContextWrapper
from agents.run_config import ToolErrorFormatterArgs
from agents.tool_context import ToolContext
from chatkit.errors import CustomStreamError
from openai import RateLimitError
from pydantic import ValidationError

from chatkit_engine.assistant.arguments import NO_OBJECT, argument_problems
from chatkit_engine.errors import AppError, ModelBusy, describe_errors
from chatkit_engine.i18n import _, translate
from chatkit_engine.models.answer_limits import AnswerOverLimit, AnswerTooSlow, over_limit
from chatkit_engine.models.provider_errors import explain, said_by
from chatkit_engine.models.resilience import AnswerBroken

log = structlog.stdlib.get_logger(__name__)
BUSY = _("The model is busy just now. Please try again in a moment.")
UNREACHABLE = _("The model could not answer. Please try again.")
ACTION_FAILED = _("That did not work. Please try again.")
TOO_LONG = _("I stopped after too many steps. Please ask in a simpler way.")
TOO_MANY_HANDOFFS = _("I passed your question on too often. Please ask in a simpler way.")
TOOK_TOO_LONG = _("This took too long. Please try again.")
TOO_MUCH = _("The answer became too long and was cut off. Please ask for less.")
NO_VALID_RESULT = _("The result did not have the expected format. Please try again.")
TOOL_FAILED = "The tool failed. Do without it, or tell the user that it did not work."
WRONG_ARGUMENTS = "The arguments do not fit the tool's schema. Call it again with valid ones: {}"


def user_error(error: Exception, language: str, default: str = UNREACHABLE) -> CustomStreamError:
    """Return the error that the client gets. `default` is the message for unexpected errors."""
    if isinstance(error, CustomStreamError):
        return error
    # Translated here, because `CustomStreamError` loses the values of a `Message`.
    if isinstance(error, AppError) and not isinstance(error, ModelBusy):
        return CustomStreamError(translate(error.detail, language), allow_retry=False)
    if isinstance(error, TimeoutError):
        return CustomStreamError(TOOK_TOO_LONG, allow_retry=True)
    if limit := over_limit(error):
        return _limit_error(limit)
    # The errors above are expected. Those below need an operator's attention.
    _log(error)
    if isinstance(error, RateLimitError | ModelBusy):
        return CustomStreamError(BUSY, allow_retry=True)
    is_too_long = isinstance(error, MaxTurnsExceeded)
    return CustomStreamError(TOO_LONG if is_too_long else default, allow_retry=not is_too_long)


def _limit_error(limit: AnswerOverLimit) -> CustomStreamError:
    log.warning("a model's answer was over the limits", error=type(limit).__name__)
    is_slow = isinstance(limit, AnswerTooSlow)
    return CustomStreamError(TOOK_TOO_LONG if is_slow else TOO_MUCH, allow_retry=True)


def _log(error: Exception) -> None:
    """Log the cause in one line if it is the provider's. A traceback would not say more."""
    name = type(error).__name__
    if reason := explain(error):
        log.error(f"the model did not answer: {reason}", error=name, said=said_by(error))
    elif isinstance(error, AnswerBroken):
        log.error("the model's answer broke off", error=name, code=error.code)
    else:
        log.error("a turn failed", error=name, exc_info=error)


def format_tool_error(arguments: ToolErrorFormatterArgs[Any]) -> str | None:
    """Return the model's message for a failed tool. `None` keeps the SDK's own message."""
    if arguments.kind != "tool_exception" or arguments.error is None:
        return None
    return tool_failed(arguments.run_context, arguments.error)


def tool_failed(context: RunContextWrapper[Any], error: Exception) -> str:
    """Log a tool's error, and return the message for the model.

    A `CustomStreamError` is meant for the user: the turn ends with its message.
    """
    if isinstance(error, ModelBehaviorError):
        # Counted, because some models repeat the same invalid call until the run's limit.
        context.context.wrong_arguments += 1
        return WRONG_ARGUMENTS.format(_problems_of_call(context))
    if isinstance(error, CustomStreamError):
        context.context.failure = error
    log.warning("a tool failed", error=type(error).__name__, exc_info=error)
    return TOOL_FAILED


def _problems_of_call(context: RunContextWrapper[Any]) -> str:
    if not isinstance(context, ToolContext):
        return NO_OBJECT
    schema = context.context.tool_schemas.get(context.tool_name, {})
    return argument_problems(schema, context.tool_arguments)


def describe_problems(cause: BaseException | None) -> str:
    """Return the problems of a validation error in one line, for the model."""
    problems: Sequence[dict[str, str]] = []
    if isinstance(cause, ValidationError):
        problems = describe_errors(cause.errors(include_input=False, include_context=False))
    return "; ".join(f"{each['field']}: {each['message']}" for each in problems) or NO_OBJECT
