"""AUTH_MODE=jwt: bearer tokens signed with HS256. `sub` is the user (RFC 7519)."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from fastapi import Request

from app.context import User
from app.errors import Unauthenticated
from app.i18n import _
from app.settings import Settings

ALGORITHM = "HS256"
MAX_SUBJECT = 255


class JwtAuthenticator:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._secret = _secret(settings)

    def authenticate(self, request: Request, media_types: Collection[str]) -> User:
        scheme, _space, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated(_("Send a token: Authorization: Bearer TOKEN."))
        return User(id=_subject(self._claims(token.strip())))

    def _claims(self, token: str) -> dict[str, Any]:
        settings = self._settings
        try:
            return jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                issuer=settings.jwt_issuer,
                audience=settings.jwt_audience,
                options={
                    "require": ["exp", "sub"],
                    "verify_aud": settings.jwt_audience is not None,
                },
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated(_("The token has expired. Get a new one.")) from None
        except (jwt.PyJWTError, ValueError, OverflowError):
            raise Unauthenticated(_("The token is not valid here.")) from None


def issue_token(settings: Settings, user_id: str, lifetime: timedelta) -> str:
    """Return a token for `user_id` that this server accepts for `lifetime`."""
    claims: dict[str, Any] = {"sub": user_id, "exp": datetime.now(UTC) + lifetime}
    if settings.jwt_issuer:
        claims["iss"] = settings.jwt_issuer
    if settings.jwt_audience:
        claims["aud"] = settings.jwt_audience
    return jwt.encode(claims, _secret(settings), algorithm=ALGORITHM)


def _secret(settings: Settings) -> str:
    if settings.jwt_secret is None:
        raise ValueError("JWT_SECRET is not set")
    return settings.jwt_secret.get_secret_value()


def _subject(claims: dict[str, Any]) -> str:
    if not is_usable_subject(claims["sub"]):
        raise Unauthenticated(_("The token's subject is no usable user id."))
    return str(claims["sub"])


def is_usable_subject(subject: object) -> bool:
    """Say whether a token may name this user: a printable text of 1 to 255 characters."""
    return isinstance(subject, str) and 0 < len(subject) <= MAX_SUBJECT and subject.isprintable()
