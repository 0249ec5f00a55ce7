"""What asyncpg understands of a PostgreSQL URL. Hosts write URLs for other drivers, too."""

from typing import NamedTuple

from sqlalchemy import URL

# asyncpg reads these itself.
CLIENT = frozenset(
    (
        *("host", "port", "user", "password", "dbname", "database", "passfile", "service"),
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "krbsrvname"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs"),
        *("gsslib", "sslnegotiation"),
    )
)
# It passes anything else on to the server, which refuses the login because of a name that it does
# not know. These it knows.
SERVER = frozenset(
    (
        *("application_name", "options", "search_path", "timezone", "client_encoding", "role"),
        *("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"),
        # A role that may only read stays one.
        *("default_transaction_read_only", "jit", "plan_cache_mode"),
        *("default_transaction_isolation", "tcp_keepalives_idle", "tcp_keepalives_interval"),
        *("tcp_keepalives_count", "tcp_user_timeout", "transaction_timeout", "work_mem"),
    )
)
# What other drivers call them.
RENAMED = {
    "applicationname": "application_name",
    "fallback_application_name": "application_name",
    "currentschema": "search_path",
    "schema": "search_path",
}
SYSTEM_ROOTS = "system"


class Target(NamedTuple):
    """The URL for asyncpg. `has_system_roots`: check certificates with those of the system."""

    url: URL
    dropped: list[str]
    has_system_roots: bool


def for_asyncpg(url: URL) -> Target:
    """Return the URL with the options that asyncpg and the server know, and which were dropped."""
    kept: dict[str, str] = {}
    dropped: list[str] = []
    for given, value in url.query.items():
        name = RENAMED.get(given.lower(), given.lower())
        text = value if isinstance(value, str) else value[-1]
        if name in CLIENT | SERVER:
            kept[name] = text
        else:
            dropped.append(given)
    has_system_roots = kept.get("sslrootcert") == SYSTEM_ROOTS
    if has_system_roots:
        kept = {name: value for name, value in kept.items() if not name.startswith("ssl")}
    return Target(url.set(query=kept), sorted(dropped), has_system_roots)
