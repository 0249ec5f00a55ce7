"""Finds the user that a call to the MCP server acts for.

Over stdio, the process that started the server is trusted to name the user in the call's `_meta`.
Over HTTP, only the bearer token counts.
"""

from collections.abc import Callable
from typing import Any, cast

from mcp.server.mcpserver import Context
from starlette.requests import Request

from chatkit_engine.context import User
from chatkit_engine.errors import Unauthenticated
from chatkit_engine.security.authentication import LOCAL_USER, is_usable_subject
from chatkit_engine.settings.core import Settings

USER_KEY = "chatkit/user"
NO_USER = "The call names no user. Set MCP_USER to a user's id in the server's environment."
WRONG_USER = "The user's id must be 1 to 255 printable characters."
UserOf = Callable[[Context[Any, Any]], User]


def user_of_call(settings: Settings, default: str | None) -> UserOf:
    """Return a function that finds the user of a call over stdio.

    `default` is the user of calls that name none. Without it, the function raises
    `Unauthenticated` for such calls if AUTH_MODE=jwt.
    """
    fallback = default or (LOCAL_USER.id if settings.auth_mode == "local" else None)

    def user_of(context: Context[Any, Any]) -> User:
        meta = cast(dict[str, Any], context.request_context.meta or {})
        user_id = meta.get(USER_KEY, fallback)
        if user_id is None:
            raise Unauthenticated(NO_USER)
        if not is_usable_subject(user_id):
            raise Unauthenticated(WRONG_USER)
        return User(id=user_id)

    return user_of


def user_of_request(context: Context[Any, Any]) -> User:
    """Return the user that the endpoint has authenticated."""
    request = cast(Request, context.request_context.request)
    return cast(User, request.state.chatkit_user)
