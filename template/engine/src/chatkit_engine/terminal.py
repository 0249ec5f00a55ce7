"""What commands share: the project they are for, explained settings, and errors in one line."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import typer
from chatkit.store import NotFoundError
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from chatkit_engine import discovery
from chatkit_engine.errors import AppError
from chatkit_engine.settings.core import Settings, SetupError, explain
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.migrate import MigrationRefused
from chatkit_engine.store.transfer import TransferRefused

T = TypeVar("T")


@dataclass(frozen=True)
class Project:
    """The application's package, by its name, as commands find it in `typer.Context.obj`."""

    app: str

    def settings(self, **values: Any) -> Settings:
        """Read the project's settings.

        Raises:
            ValidationError: one is missing or wrong; `explained` tells the user.
        """
        return discovery.settings_class(self.app)(**values)

    @asynccontextmanager
    async def open_database(self) -> AsyncGenerator[Database]:
        """Open the project's database for a command, and close it again.

        Settings that are wrong are named, and the command exits.
        """
        with explained():
            database = open_database(self.settings())
        try:
            yield database
        finally:
            await database.aclose()


def project_of(ctx: typer.Context) -> Project:
    """Return the project that a command runs for."""
    project = ctx.find_object(Project)
    assert project is not None
    return project


@contextmanager
def explained() -> Generator[None]:
    """Name the settings that are wrong, and exit."""
    try:
        yield
    except ValidationError as error:
        fail("\n".join(explain(error)))
    except SetupError as error:
        fail(str(error))
    except OSError:
        fail("DATABASE_URL: its folder cannot be made or written. Name another.")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work. An error that a user can do something about is told in one line."""
    try:
        return asyncio.run(work)
    except NotFoundError:
        fail("This thread does not exist.")
    except (AppError, MigrationRefused, TransferRefused) as error:
        fail(str(error))
    except SQLAlchemyError:
        fail("The database does not answer. Check DATABASE_URL; `doctor` says more.")
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
