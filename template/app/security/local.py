"""AUTH_MODE=local: one user on one machine.

Binding to loopback is not enough. Any page in the user's browser can send requests to
localhost, so each request shows that it comes from this machine, for this host, from a page that
is allowed or from none, and as JSON, which a page cannot send elsewhere without asking first.
A form with a file can be sent so: there the origin alone, which browsers always name, keeps it out.
"""

import re
from collections.abc import Collection

from fastapi import Request

from app.context import User
from app.errors import Forbidden, UnsupportedMediaType
from app.i18n import _
from app.settings import Settings, is_loopback

LOCAL_USER = User(id="local")
LOCAL_HOST = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?")
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


class LocalAuthenticator:
    def __init__(self, settings: Settings) -> None:
        self._allowed_origins = frozenset(settings.allowed_origins)

    def authenticate(self, request: Request, media_types: Collection[str]) -> User:
        _check_peer(request)
        host = _check_host(request)
        self._check_origin(request, host)
        _check_content_type(request, media_types)
        return LOCAL_USER

    def _check_origin(self, request: Request, host: str) -> None:
        origin = request.headers.get("origin")
        if origin is None:
            allowed = request.headers.get("sec-fetch-site") != "cross-site"
        else:
            allowed = origin == f"{request.url.scheme}://{host}" or origin in self._allowed_origins
        if not allowed:
            raise Forbidden(
                _("This page may not call the server: add its origin to ALLOWED_ORIGINS.")
            )


def _check_peer(request: Request) -> None:
    if request.client is None or not is_loopback(request.client.host):
        raise Forbidden(
            _("AUTH_MODE=local answers this machine only: set AUTH_MODE=jwt for others.")
        )


def _check_host(request: Request) -> str:
    host = request.headers.get("host", "")
    if not LOCAL_HOST.fullmatch(host):
        raise Forbidden(_("AUTH_MODE=local is reached as localhost or 127.0.0.1 only."))
    return host


def _check_content_type(request: Request, media_types: Collection[str]) -> None:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method not in WITHOUT_BODY and content_type not in media_types:
        raise UnsupportedMediaType(
            _("Send the body as Content-Type: {types}.", types=", ".join(media_types))
        )
