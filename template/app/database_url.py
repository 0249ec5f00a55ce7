"""Which database a URL names. The spellings that hosts and other tools write are understood."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
EXPECTED = (
    "must be a URL such as sqlite:///data/chat.db or postgresql://user:password@localhost/chat"
)


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
    return parsed.set(drivername=name)
