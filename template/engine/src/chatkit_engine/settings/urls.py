"""Checks and parses the URLs and hosts in settings."""

import re
from ipaddress import ip_address

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

# Apps in a web view have schemes of their own, such as `capacitor://localhost`.
ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)(?::(\d{1,5}))?/?", re.IGNORECASE
)
DEFAULT_PORTS = {"http": "80", "https": "443"}
BASE_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[!-~]*)?")
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
DATABASE_ADVICE = (
    "must be a URL such as sqlite:///data/chat.db or postgresql://user:password@localhost/chat"
)
ENCODE = "must have its password percent-encoded: %40 for @, %2F for /, %25 for %"
# What drivers for other languages call the modes.
OTHER_MODES = {
    "true": "require",
    "1": "require",
    "false": "disable",
    "0": "disable",
    "no-verify": "require",
    "accept_invalid_certs": "require",
    "strict": "verify-full",
    "verify_ca": "verify-ca",
    "verify_full": "verify-full",
}
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def check_base_url(url: str | None, example: str) -> str | None:
    """Return the URL.

    Raises:
        ValueError: it has no scheme or host, or characters that are invalid in a URL.
    """
    if url is not None and not BASE_URL.fullmatch(url):
        raise ValueError(f"must be a URL such as {example}")
    return url


def check_origin(origin: str) -> str:
    """Return the origin as browsers write it: in lower case, without the default port.

    Raises:
        ValueError: it is not an origin.
    """
    match = ORIGIN.fullmatch(origin.strip())
    try:
        host = match[2].lower().encode("idna").decode() if match else ""
    except UnicodeError:
        host = ""
    if match is None or not host or match[1].lower() in ("data", "file", "javascript", "blob"):
        raise ValueError(
            "an entry is not an origin: write scheme and host without a path, "
            "such as https://app.example.com"
        )
    scheme, port = match[1].lower(), match[3]
    suffix = f":{int(port)}" if port and port != DEFAULT_PORTS.get(scheme) else ""
    return f"{scheme}://{host}{suffix}"


def is_loopback(host: str) -> bool:
    """Return whether `host`, a name or an address, can only mean this machine."""
    try:
        return host in LOCAL_HOSTS or ip_address(host).is_loopback
    except ValueError:
        return False


def parse_database_url(url: str) -> URL:
    """Return the URL with the driver name "sqlite" or "postgresql".

    Other spellings are accepted, because hosting providers and tools write them: `postgres://`, a
    driver as in `postgresql+psycopg://`, and `ssl` in place of `sslmode`.

    Raises:
        ValueError: it is not a URL, or its database is not supported.
    """
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError):
        raise ValueError(DATABASE_ADVICE) from None
    name = parsed.drivername.partition("+")[0]
    if name == "postgres":
        name = POSTGRESQL
    if name not in (SQLITE, POSTGRESQL) or (name == SQLITE and parsed.host):
        raise ValueError(DATABASE_ADVICE)
    # A password with `@` and `/` that are not encoded, part of which would become the host.
    if name == POSTGRESQL and "@" in (parsed.database or ""):
        raise ValueError(ENCODE)
    return _with_sslmode(parsed.set(drivername=name))


def _with_sslmode(url: URL) -> URL:
    """Return the URL with `ssl` renamed to `sslmode`, as libpq calls it."""
    mode = url.query.get("sslmode", url.query.get("ssl", url.query.get("sslaccept")))
    if url.drivername == SQLITE or mode is None:
        return url
    mode = OTHER_MODES.get(str(mode).lower(), mode)
    if mode not in SSL_MODES:
        raise ValueError(f"sslmode must be one of {', '.join(SSL_MODES)}")
    return url.difference_update_query(["ssl", "sslaccept"]).update_query_dict({"sslmode": mode})
