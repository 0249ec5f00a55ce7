"""Links to a file's bytes: absolute, signed and short-lived.

A link says for whom it was made, for which file, and whether to read or to write. Its key is not
the one of the users' tokens, so that neither passes for the other.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import jwt

from chatkit_engine.context import RequestContext
from chatkit_engine.errors import Forbidden, Unauthenticated
from chatkit_engine.i18n import _
from chatkit_engine.settings.core import Settings

ALGORITHM = "HS256"
LABEL = b"links to attachments"
Purpose = Literal["upload", "download"]


@dataclass(frozen=True)
class Grant:
    """What a link allows: the user whose file it is, and for how many more seconds."""

    user_id: str
    seconds: int


class Links:
    """Makes links and checks them. Without `JWT_SECRET` they last as long as the process."""

    def __init__(self, settings: Settings) -> None:
        secret = settings.jwt_secret
        own = secret.get_secret_value().encode() if secret else secrets.token_bytes(32)
        self._key = hmac.digest(own, LABEL, "sha256")

    def make(
        self, purpose: Purpose, file_id: str, path: str, context: RequestContext, seconds: int
    ) -> str:
        """Return a link to the path, for the context's user, that works for so many seconds."""
        claims = {
            "sub": context.user.id,
            "aud": purpose,
            "attachment": file_id,
            "exp": datetime.now(UTC) + timedelta(seconds=seconds),
        }
        token = jwt.encode(claims, self._key, algorithm=ALGORITHM)
        return f"{context.base_url}{path}?token={token}"

    def check(self, token: str | None, purpose: Purpose, file_id: str) -> Grant:
        """Return what the token of a link allows.

        Raises:
            Unauthenticated: there is none.
            Forbidden: it has expired, or was not made for this.
        """
        if not token:
            raise Unauthenticated(
                _("The link lacks its token. Load the thread again for a new link.")
            )
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
        left = claims["exp"] - datetime.now(UTC).timestamp()
        return Grant(str(claims["sub"]), max(0, int(left)))


def _wrong_link() -> Forbidden:
    return Forbidden(_("The link is not valid for this. Load the thread again for a new one."))
