"""Who asks. `CurrentUser` is the one way for a route to know, and to be closed to strangers.

A route that takes a form with a file has `UploadingUser` in its place.
"""

from collections.abc import Collection
from typing import Annotated, Protocol, cast

from fastapi import Depends, Request

from app.context import User
from app.security.local import LocalAuthenticator
from app.security.tokens import JwtAuthenticator
from app.settings import Settings

JSON = ("application/json",)
FORM = ("multipart/form-data",)


class Authenticator(Protocol):
    """Tells the user of a request."""

    def authenticate(self, request: Request, media_types: Collection[str]) -> User:
        """Return the user. `media_types` are those of the bodies that the route takes.

        Raises:
            Unauthenticated, Forbidden, UnsupportedMediaType: the request is refused.
        """
        ...


def create_authenticator(settings: Settings) -> Authenticator:
    if settings.auth_mode == "jwt":
        return JwtAuthenticator(settings)
    return LocalAuthenticator(settings)


async def current_user(request: Request) -> User:
    return _authenticator(request).authenticate(request, JSON)


async def uploading_user(request: Request) -> User:
    return _authenticator(request).authenticate(request, FORM)


def _authenticator(request: Request) -> Authenticator:
    return cast(Authenticator, request.app.state.authenticator)


CurrentUser = Annotated[User, Depends(current_user)]
UploadingUser = Annotated[User, Depends(uploading_user)]
