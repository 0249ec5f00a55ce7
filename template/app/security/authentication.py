"""Who asks. `CurrentUser` is the one way for a route to know, and to be closed to strangers."""

from typing import Annotated, Protocol, cast

from fastapi import Depends, Request

from app.context import User
from app.security.local import LocalAuthenticator
from app.security.tokens import JwtAuthenticator
from app.settings import Settings


class Authenticator(Protocol):
    """Tells the user of a request."""

    def authenticate(self, request: Request) -> User:
        """Return the user, or raise `Unauthenticated` or `Forbidden`."""
        ...


def create_authenticator(settings: Settings) -> Authenticator:
    if settings.auth_mode == "jwt":
        return JwtAuthenticator(settings)
    return LocalAuthenticator(settings)


async def current_user(request: Request) -> User:
    return cast(Authenticator, request.app.state.authenticator).authenticate(request)


CurrentUser = Annotated[User, Depends(current_user)]
