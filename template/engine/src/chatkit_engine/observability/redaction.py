"""Redacts secrets in what the process writes: known ones, and those in URLs and headers."""

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import cast
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from pydantic import BaseModel, SecretStr

from chatkit_engine.settings.env_file import read_env_file

MASK = "***"
# A shorter secret would also replace ordinary words.
MIN_SECRET = 8

# In URLs: the tokens of links, the words of searches, and what other services call their secrets.
PARAMETER = re.compile(r"""([?&;])([^\s?&;="'<>\\]+)=([^\s&;"'<>\\]+)""")
PRIVATE_PARAMETERS = frozenset(
    (
        "token",
        "access_token",
        "refresh_token",
        "id_token",
        "q",
        "key",
        "api_key",
        "apikey",
        "api-key",
        "code",
        "secret",
        "client_secret",
        "password",
        "passwd",
        "sig",
        "signature",
        "x-amz-signature",
        "x-amz-security-token",
        "x-amz-credential",
        "authorization",
        "jwt",
        "session",
    )
)
CREDENTIALS = re.compile(r"(?i)\b(bearer|basic)(\s+|%20)[\w.~+/=-]{8,}")
# The bounds keep the search linear in a text of a stranger.
USERINFO = re.compile(r"""(://[^\s/:@"'<>]{0,256}):([^\s/"'<>]{1,512})@""")

# Variables whose values are secrets, whatever reads them.
SECRET_NAME = re.compile(r"(?i)(key|secret|token|password|passwd|credentials?|auth|headers)$")
# Parameters too: `auth_token`, `accessToken`, `x-goog-signature`.
SECRET_PARAMETER = re.compile(r"(key|secret|token|password|passwd|pwd|credentials?|signature)$")


class Redactor:
    """Replaces known secrets in a text, in every form in which libraries write them."""

    def __init__(self) -> None:
        self.reset(())

    def reset(self, secrets: Iterable[str]) -> None:
        """Forget all secrets but these."""
        self._forms: set[str] = set()
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Add secrets. Those under 8 characters are not redacted."""
        for secret in secrets:
            self._forms |= {form for form in forms_of(secret) if len(form) >= MIN_SECRET}
        # The longest first, so that no rest of a longer form remains.
        self._ordered = sorted(self._forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text without secrets."""
        for form in self._ordered:
            text = text.replace(form, MASK)
        return redact_urls(text)


def redact_urls(text: str) -> str:
    """Redact private parameters and passwords of URLs, and credentials in headers.

    A name counts as the server reads it: percent-decoded. Its case does not matter.
    """
    text = USERINFO.sub(rf"\1:{MASK}@", text)
    return CREDENTIALS.sub(rf"\1 {MASK}", PARAMETER.sub(_redact_parameter, text))


def _redact_parameter(match: re.Match[str]) -> str:
    separator, name, _value = match.groups()
    return f"{separator}{name}={MASK}" if _is_private(name) else match.group()


def redact_query(query: str) -> str:
    """Redact a request's query whole, as the server splits it.

    In a text, quotes and semicolons end a value. Here they belong to it: `q=it's`, `q=a;b`.
    """
    pairs = [each.partition("=") for each in query.split("&")]
    return "&".join(
        name + equals + (MASK if value and _is_private(name) else value)
        for name, equals, value in pairs
    )


def _is_private(name: str) -> bool:
    name = unquote_plus(name).lower()
    return name in PRIVATE_PARAMETERS or bool(SECRET_PARAMETER.search(name))


def forms_of(secret: str) -> Iterator[str]:
    """Yield how a secret may be written: plain, percent-encoded, escaped, and in Base64."""
    secret = secret.strip()
    if len(secret) < MIN_SECRET:
        return
    yield secret
    for encoded in (quote(secret), quote(secret, safe=""), quote_plus(secret)):
        yield encoded
        yield re.sub("%..", lambda match: match[0].lower(), encoded)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield from _in_base64(secret.encode())


def _in_base64(secret: bytes) -> Iterator[str]:
    """Yield the part of Base64 that the secret alone decides, wherever it begins.

    `user:password` in the header of basic authentication begins with a user who is not known here.
    """
    for before, first in enumerate((0, 2, 3)):
        whole = (before + len(secret)) * 8 // 6
        encoded = base64.b64encode(bytes(before) + secret).decode()[first:whole]
        yield encoded
        yield encoded.replace("+", "-").replace("/", "_")


def secrets_in(value: object) -> Iterator[str]:
    """Yield the secrets in settings, at any depth, and those in their URLs."""
    match value:
        case SecretStr():
            yield from _with_parts(value.get_secret_value())
        case str():
            yield from _secrets_in_urls(value)
        case BaseModel():
            yield from secrets_in({name: getattr(value, name) for name in type(value).model_fields})
        case dict():
            for each in cast(dict[str, object], value).values():
                yield from secrets_in(each)
        case list() | tuple():
            for each in cast(list[object], value):
                yield from secrets_in(each)
        case _:
            return


def secrets_of_environment() -> Iterator[str]:
    """Yield the secrets in the environment and in `.env`, by their names and in their URLs.

    They are known before the settings are read, and include those of proxies and other libraries.
    """
    for name, value in (*read_env_file().items(), *os.environ.items()):
        if SECRET_NAME.search(name):
            yield from _with_parts(value)
        yield from _secrets_in_urls(value)
        if value.lstrip().startswith("{"):
            yield from _secrets_in_json(value)


def _with_parts(secret: str) -> Iterator[str]:
    """Yield a secret, and of a header such as `Bearer ...` also what stands behind the scheme."""
    yield secret
    scheme, _, rest = secret.strip().partition(" ")
    if rest:
        yield rest
    if scheme.lower() == "basic":
        try:
            yield base64.b64decode(rest, validate=True).decode().partition(":")[2]
        except ValueError:
            return


def _secrets_in_urls(text: str) -> Iterator[str]:
    for match in USERINFO.finditer(text):
        yield from (match[2], unquote(match[2]))
    for match in PARAMETER.finditer(text):
        if _is_private(match[2]) and unquote_plus(match[2]).lower() != "q":
            yield from (match[3], unquote_plus(match[3]))


def _secrets_in_json(text: str) -> Iterator[str]:
    """Yield the values of `env` and `headers` in a JSON object such as MCP_SERVERS."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return
    yield from _secret_members(parsed)


def _secret_members(value: object) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    for name, member in cast(dict[str, object], value).items():
        if name in ("env", "headers") and isinstance(member, dict):
            for each in cast(dict[str, object], member).values():
                yield from _with_parts(str(each))
        else:
            yield from _secret_members(member)
