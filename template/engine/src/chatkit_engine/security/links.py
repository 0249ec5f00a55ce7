"""Signed links to files: absolute URLs that expire.

A link is valid for one user, one file, and either upload or download. The key is derived from the
secret of the users' tokens, so that a link's token is not accepted as a user's token or vice versa.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import jwt

from chatkit_engine.context import RequestContext
from chatkit_engine.errors import Forbidden, NoPublicUrl, Unauthenticated
from chatkit_engine.i18n import _
from chatkit_engine.settings.core import Settings

ALGORITHM = "HS256"
LABEL = b"links to attachments"
Purpose = Literal["upload", "download"]


@dataclass(frozen=True)
class Grant:
    """What a link allows: the owner of the file, and the seconds until the link expires."""

    user_id: str
    seconds: int


class Links:
    """Creates and checks links. Without `JWT_SECRET`, they are valid until the process ends."""

    def __init__(self, settings: Settings) -> None:
        secret = settings.jwt_secret
        secret_bytes = secret.get_secret_value().encode() if secret else secrets.token_bytes(32)
        self._key = hmac.digest(secret_bytes, LABEL, "sha256")

    def make(
        self, purpose: Purpose, file_id: str, path: str, context: RequestContext, seconds: int
    ) -> str:
        """Return a link to the path, for the context's user, that expires after `seconds`.

        Raises:
            NoPublicUrl: the server does not know its own address.
        """
        if context.base_url is None:
            raise NoPublicUrl
        claims = {
            "sub": context.user.id,
            "aud": purpose,
            "attachment": file_id,
            "exp": datetime.now(UTC) + timedelta(seconds=seconds),
        }
        token = jwt.encode(claims, self._key, algorithm=ALGORITHM)
        return f"{context.base_url}{path}?token={token}"

    def check(self, token: str | None, purpose: Purpose, file_id: str) -> Grant:
        """Return what a link's token allows.

        Raises:
            Unauthenticated: there is no token.
            Forbidden: it has expired, or is for another file or purpose.
        """
        if not token:
            raise Unauthenticated(_("The link has no token. Load the thread again for a new link."))
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=purpose,
                options={"require": ["exp", "sub", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise Forbidden(
                _("The link has expired. Load the thread again for a new one.")
            ) from None
        except (jwt.PyJWTError, ValueError, OverflowError):
            raise _wrong_link() from None
        if claims.get("attachment") != file_id:
            raise _wrong_link()
        seconds = claims["exp"] - datetime.now(UTC).timestamp()
        return Grant(str(claims["sub"]), max(0, int(seconds)))


def _wrong_link() -> Forbidden:
    return Forbidden(_("The link is not valid for this file. Load the thread again for a new one."))
