"""What counts as the URL of a server.

Which database a URL names. The spellings that hosts and other tools write are understood."""

import re

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

BASE_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[!-~]*)?")
SQLITE = "sqlite"
POSTGRESQL = "postgresql"

EXPECTED = (
    "must be a URL such as sqlite:///data/chat.db or postgresql://user:password@localhost/chat"
)

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def check_base_url(url: str | None, example: str) -> str | None:
    """Return the URL.

    Raises:
        ValueError: it has no scheme and host, or characters that no URL has.
    """
    if url is not None and not BASE_URL.fullmatch(url):
        raise ValueError(f"must be a URL such as {example}")
    return url


def parse_database_url(url: str) -> URL:
    """Return the URL with the plain name of its database, whatever driver it asks for.

    Raises:
        ValueError: it is no URL, or of a database that is not supported here.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError(EXPECTED) from None
    name = parsed.drivername.partition("+")[0]
    if name == "postgres":
        name = POSTGRESQL
    if name not in (SQLITE, POSTGRESQL) or (name == SQLITE and parsed.host):
        raise ValueError(EXPECTED)
    return _with_sslmode(parsed.set(drivername=name))


def _with_sslmode(url: URL) -> URL:
    """Return the URL with its `ssl` under the name that PostgreSQL gives it."""
    mode = url.query.get("sslmode", url.query.get("ssl"))
    if url.drivername == SQLITE or mode is None:
        return url
    if mode not in SSL_MODES:
        raise ValueError(f"sslmode must be one of {', '.join(SSL_MODES)}")
    return url.difference_update_query(["ssl"]).update_query_dict({"sslmode": mode})
