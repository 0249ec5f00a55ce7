"""Authentication: who sends a request.

AUTH_MODE=local is one user on one machine. Binding to loopback is not enough for that, because any
page in the user's browser can send requests to localhost. So each request must come from this
machine, name this host, come from an allowed page or none, and be JSON, which a browser does not
send to another origin without asking first. It does send forms, so routes that accept a form with a
file rely on the origin, which browsers always send with them.

AUTH_MODE=jwt is bearer tokens signed with HS256 (RFC 7519). `sub` is the user id.

A route requires a user by depending on `CurrentUser`, or `UploadingUser` if it accepts a form.
"""

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import jwt
from fastapi import Request
from starlette.requests import HTTPConnection

from chatkit_engine.context import User
from chatkit_engine.errors import Forbidden, Unauthenticated, UnsupportedMediaType
from chatkit_engine.i18n import _
from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.urls import is_loopback

LOCAL_USER = User(id="local")
LOCAL_HOST = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?")
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
# Headers that proxies, load balancers and CDNs add. uvicorn takes the client from them.
FORWARDING_PREFIXES = ("x-forwarded", "x-original-", "x-envoy-", "cf-", "x-amz-cf-", "x-azure-")
FORWARDING = frozenset(
    {
        "forwarded",
        "via",
        "cdn-loop",
        "client-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "true-client-ip",
        "x-amzn-trace-id",
        "x-appengine-user-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-real-ip",
        "x-remote-addr",
        "x-remote-ip",
        "x-request-start",
        "x-vercel-forwarded-for",
    }
)
ALGORITHM = "HS256"
MAX_SUBJECT = 255
# How far the issuer's clock may be off.
SKEW_SECONDS = 30


class Authenticator(Protocol):
    """Determines the user of a request."""

    async def authenticate(self, request: Request, media_types: Collection[str]) -> User:
        """Return the user. `media_types` are the ones that the route accepts for the body.

        Raises:
            Unauthenticated, Forbidden, UnsupportedMediaType: the request is refused.
        """
        ...


def create_authenticator(settings: Settings) -> Authenticator:
    if settings.auth_mode == "jwt":
        return JwtAuthenticator(settings)
    return LocalAuthenticator(settings)


class LocalAuthenticator:
    """AUTH_MODE=local: accepts requests from this machine."""

    def __init__(self, settings: Settings) -> None:
        self._allowed_origins = frozenset(settings.allowed_origins)

    async def authenticate(self, request: Request, media_types: Collection[str]) -> User:
        _check_peer(request)
        host = _check_host(request)
        self._check_origin(request, host)
        _check_content_type(request, media_types)
        return LOCAL_USER

    def _check_origin(self, request: Request, host: str) -> None:
        origin = request.headers.get("origin")
        if origin is None:
            # Browsers leave out Origin in some GET requests, but they send Sec-Fetch-Site.
            allowed = request.headers.get("sec-fetch-site") != "cross-site"
        else:
            allowed = origin == f"{request.url.scheme}://{host}" or origin in self._allowed_origins
        if not allowed:
            raise Forbidden(
                _("This page may not call the server: add its origin to ALLOWED_ORIGINS.")
            )


def is_forwarded(request: HTTPConnection) -> bool:
    """Return whether a proxy has passed the request on, so that its peer is not the client."""
    names = request.headers.keys()
    # nginx adds no header by default, but speaks HTTP/1.0, which no browser does.
    is_plain_proxy = request.scope.get("http_version") == "1.0"
    return is_plain_proxy or any(
        name in FORWARDING or name.startswith(FORWARDING_PREFIXES) for name in names
    )


def is_from_this_machine(request: HTTPConnection) -> bool:
    """Return whether the client is on this machine, and not only a proxy."""
    peer = request.client
    return peer is not None and is_loopback(peer.host) and not is_forwarded(request)


def _check_peer(request: Request) -> None:
    if is_forwarded(request):
        raise Forbidden(
            _("AUTH_MODE=local does not work behind a proxy: set AUTH_MODE=jwt to serve others.")
        )
    if not is_from_this_machine(request):
        raise Forbidden(
            _("AUTH_MODE=local serves this machine only: set AUTH_MODE=jwt to serve others.")
        )


def is_local_host(request: HTTPConnection) -> bool:
    """Return whether the request names this machine as its host."""
    return LOCAL_HOST.fullmatch(request.headers.get("host", "")) is not None


def _check_host(request: Request) -> str:
    if not is_local_host(request):
        raise Forbidden(_("AUTH_MODE=local accepts only the hosts localhost and 127.0.0.1."))
    return request.headers["host"]


def _check_content_type(request: Request, media_types: Collection[str]) -> None:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method not in WITHOUT_BODY and content_type not in media_types:
        raise UnsupportedMediaType(
            _("Send the body as Content-Type: {types}.", types=", ".join(media_types))
        )


class JwtAuthenticator:
    """AUTH_MODE=jwt: accepts bearer tokens."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._secret = _secret(settings)

    async def authenticate(self, request: Request, media_types: Collection[str]) -> User:
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
                leeway=SKEW_SECONDS,
                options={
                    "require": ["exp", "sub"],
                    "verify_aud": settings.jwt_audience is not None,
                    # Some issuers write numbers. `_subject` checks what is accepted.
                    "verify_sub": False,
                },
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated(_("The token has expired. Get a new one.")) from None
        except (jwt.PyJWTError, ValueError, OverflowError):
            raise Unauthenticated(_("The token is not valid.")) from None


def issue_token(settings: Settings, user_id: str, lifetime: timedelta) -> str:
    """Return a token for `user_id` that this server accepts for `lifetime`."""
    claims: dict[str, Any] = {"sub": user_id, "exp": datetime.now(UTC) + lifetime}
    if settings.jwt_issuer:
        claims["iss"] = settings.jwt_issuer
    if settings.jwt_audience:
        claims["aud"] = settings.jwt_audience
    return jwt.encode(claims, _secret(settings), algorithm=ALGORITHM)


def is_usable_subject(subject: object) -> bool:
    """Return whether a subject is a valid user id: 1 to 255 printable characters."""
    return isinstance(subject, str) and 0 < len(subject) <= MAX_SUBJECT and subject.isprintable()


def _subject(claims: dict[str, Any]) -> str:
    subject = claims["sub"]
    # Not a bool, which is an int too, and would make two users one.
    if type(subject) is int:
        subject = str(subject)
    if not is_usable_subject(subject):
        raise Unauthenticated(_("The token's subject is not a valid user id."))
    return subject


def _secret(settings: Settings) -> str:
    if settings.jwt_secret is None:
        raise ValueError("JWT_SECRET is not set")
    return settings.jwt_secret.get_secret_value()
