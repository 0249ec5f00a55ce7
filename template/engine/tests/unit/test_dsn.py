"""URLs of PostgreSQL as hosts write them for other drivers."""

import pytest
from sqlalchemy import make_url

from chatkit_engine.settings.core import Settings
from chatkit_engine.settings.urls import parse_database_url
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.dsn import for_asyncpg

# What hosts and tools put behind the `?`, what is left for asyncpg, and what is dropped.
URLS: dict[str, tuple[dict[str, str], list[str]]] = {
    "pgbouncer=true&connection_limit=1": ({}, ["connection_limit", "pgbouncer"]),
    "gssencmode=disable": ({}, ["gssencmode"]),
    "sslmode=require&channel_binding=require": ({"sslmode": "require"}, ["channel_binding"]),
    "ssl=true": ({"sslmode": "require"}, []),
    "ssl=no-verify": ({"sslmode": "require"}, []),
    "sslmode=VERIFY_FULL": ({"sslmode": "verify-full"}, []),
    "sslaccept=strict": ({"sslmode": "verify-full"}, []),
    "supa=base-pooler.x&uselibpqcompat=true": ({}, ["supa", "uselibpqcompat"]),
    "prepareThreshold=0&ApplicationName=chat": (
        {"application_name": "chat"},
        ["prepareThreshold"],
    ),
    "currentSchema=public": ({"search_path": "public"}, []),
    "schema=public&pool_timeout=0&socket_timeout=30": (
        {"search_path": "public"},
        ["pool_timeout", "socket_timeout"],
    ),
    "connect_timeout=10&keepalives=1&sslcompression=0": (
        {},
        ["connect_timeout", "keepalives", "sslcompression"],
    ),
    "application_name=chat&statement_timeout=30000": (
        {"application_name": "chat", "statement_timeout": "30000"},
        [],
    ),
    "jit=off&default_transaction_read_only=off&plan_cache_mode=auto": (
        {"jit": "off", "default_transaction_read_only": "off", "plan_cache_mode": "auto"},
        [],
    ),
    "target_session_attrs=any&load_balance_hosts=random": (
        {"target_session_attrs": "any"},
        ["load_balance_hosts"],
    ),
}


@pytest.mark.parametrize("options", URLS)
def test_options_are_translated_or_dropped(options: str) -> None:
    target = for_asyncpg(parse_database_url(f"postgres://ada:x@db.example/chat?{options}"))

    assert (dict(target.url.query), target.dropped) == URLS[options]


def test_the_systems_certificates_are_asked_for_by_their_name() -> None:
    url = "postgresql://db.example/chat?sslmode=verify-full&sslrootcert=system"

    target = for_asyncpg(make_url(url))

    assert target.has_system_roots
    assert not target.url.query


@pytest.mark.slow
@pytest.mark.parametrize("options", [each for each in URLS if "ssl" not in each.lower()])
async def test_a_server_accepts_them(postgres_url: str, options: str) -> None:
    mark = "&" if "?" in postgres_url else "?"
    database: Database = open_database(Settings(database_url=f"{postgres_url}{mark}{options}"))

    assert await database.problem() == ""
    await database.aclose()
