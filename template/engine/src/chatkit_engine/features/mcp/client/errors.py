"""The errors of calls to MCP servers, and the model's message for each.

A server's own error text goes to the log only, because it may contain paths, hosts and keys.
"""

from typing import Any, cast

import structlog
from agents import RunContextWrapper
from agents.exceptions import UserError
from mcp import MCPError
from mcp.types import INVALID_PARAMS, METHOD_NOT_FOUND, REQUEST_TIMEOUT

from chatkit_engine.assistant.failures import tool_failed

log = structlog.stdlib.get_logger(__name__)
UNAVAILABLE = (
    "The server of this tool cannot be reached at the moment. "
    "Continue without it, or tell the user."
)
LOST = (
    "The connection was lost during the call, so it is unknown whether the call took effect. "
    "Tell the user, and do not repeat it without their consent."
)
TIMEOUT = (
    "The tool did not answer in time, so it is unknown whether the call took effect. "
    "Tell the user, and do not repeat it without their consent."
)
REFUSED = (
    "The tool reported an error. Check the arguments against its schema, continue without it, or "
    "tell the user that it did not work."
)
MAX_LOGGED = 500


class ServerUnavailable(UserError):
    """The server is not connected. Nothing was sent."""


class CallLost(UserError):
    """The connection ended during a call."""


class CallTimeout(UserError):
    """The server did not answer a call in time."""


class CallRefused(UserError):
    """The server answered a call with an error."""


MESSAGES: dict[type[Exception], str] = {
    ServerUnavailable: UNAVAILABLE,
    CallLost: LOST,
    CallTimeout: TIMEOUT,
    CallRefused: REFUSED,
}


def call_error(error: MCPError, server: str) -> UserError:
    """Return the error of a call that ended with an error of the protocol."""
    if error.code == REQUEST_TIMEOUT:
        return CallTimeout(server)
    if error.code in (INVALID_PARAMS, METHOD_NOT_FOUND):
        return CallRefused(server)
    return CallLost(server)


def call_failed(context: RunContextWrapper[Any], error: Exception) -> str:
    """Return the message for the model, and log the details."""
    message = MESSAGES.get(type(error))
    if message is None:
        return tool_failed(context, error)
    details = str(error.__cause__ or "")[:MAX_LOGGED]
    log.warning(
        "a call of an MCP server failed",
        error=type(error).__name__,
        server=str(error),
        said=details,
    )
    return message


def reason_of(error: BaseException) -> str:
    """Return why a server cannot be reached, for the log, without URLs or headers."""
    if isinstance(error, BaseExceptionGroup):
        group = cast(BaseExceptionGroup[BaseException], error)
        return ", ".join(sorted({reason_of(each) for each in group.exceptions}))
    if isinstance(error, FileNotFoundError):
        return "its command or folder does not exist"
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    return f"HTTP {status}" if status else type(error).__name__
