"""What can go wrong with a server, and what the model is told of it.

What a server says itself is not passed on: an error's text may name paths, hosts and keys.
"""

from typing import Any, cast

import structlog
from agents import RunContextWrapper
from agents.exceptions import UserError
from mcp import MCPError
from mcp.types import INVALID_PARAMS, METHOD_NOT_FOUND, REQUEST_TIMEOUT

from chatkit_engine.assistant.failures import tool_failed

log = structlog.stdlib.get_logger(__name__)
AWAY = "The server of this tool cannot be reached just now. Do without it, or say so to the user."

CUT_OFF = (
    "The connection was lost during the call, and it is unknown whether it was done. "
    "Tell the user, and do not repeat it without their consent."
)

TOO_SLOW = (
    "The tool took too long and was given up; it is unknown whether it was done. "
    "Tell the user, and do not repeat it without their consent."
)

REFUSED = (
    "The tool reported an error. Check the arguments against its schema, do without it, or tell "
    "the user that it did not work."
)

MAX_LOGGED = 500


class ServerAway(UserError):
    """The server is not connected, and nothing was sent to it."""


class CallLost(UserError):
    """The connection ended while the server worked on a call."""


class CallTimeout(UserError):
    """The server gave no answer in time."""


class CallRefused(UserError):
    """The server answered that it would not do that."""


TOLD: dict[type[Exception], str] = {
    ServerAway: AWAY,
    CallLost: CUT_OFF,
    CallTimeout: TOO_SLOW,
    CallRefused: REFUSED,
}


def of_call(error: MCPError, server: str) -> UserError:
    """Return what an error of the protocol means for the call that got it."""
    if error.code == REQUEST_TIMEOUT:
        return CallTimeout(server)
    if error.code in (INVALID_PARAMS, METHOD_NOT_FOUND):
        return CallRefused(server)
    return CallLost(server)


def call_failed(context: RunContextWrapper[Any], error: Exception) -> str:
    """Return what the model is told; the log has the rest."""
    told = TOLD.get(type(error))
    if told is None:
        return tool_failed(context, error)
    said = str(error.__cause__ or "")[:MAX_LOGGED]
    log.warning(
        "a call of an MCP server failed", error=type(error).__name__, server=str(error), said=said
    )
    return told


def reason_of(error: BaseException) -> str:
    """Say for the log why a server cannot be reached, without a URL or a header."""
    if isinstance(error, BaseExceptionGroup):
        group = cast(BaseExceptionGroup[BaseException], error)
        return ", ".join(sorted({reason_of(each) for each in group.exceptions}))
    if isinstance(error, FileNotFoundError):
        return "its command, or its folder, is not there"
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    return f"HTTP {status}" if status else type(error).__name__
