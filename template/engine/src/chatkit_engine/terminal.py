"""What commands share: the project they run for, and errors as one line, not a traceback."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import typer
from chatkit.store import NotFoundError
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from chatkit_engine import discovery
from chatkit_engine.errors import AppError
from chatkit_engine.observability.logs import redactor
from chatkit_engine.settings.base import SetupError, settings_errors
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.failures import DatabaseUnavailable
from chatkit_engine.store.migrate import MigrationRefused
from chatkit_engine.store.transfer import TransferRefused

T = TypeVar("T")
Fail = Callable[[str], NoReturn]


@dataclass(frozen=True)
class Project:
    """The application that a command runs for, by the name of its package.

    `typer.Context.obj` holds it.
    """

    app: str

    def settings(self, **values: Any) -> Settings:
        """Read the project's settings; `values` override them.

        Raises:
            ValidationError, SetupError: a setting is missing or invalid; see
                `explain_settings_errors`.
        """
        return discovery.settings_class(self.app)(**values)

    @asynccontextmanager
    async def open_database(self) -> AsyncGenerator[Database]:
        """Open the project's database for a command, and close it again.

        Invalid settings end the command with one line for each.
        """
        with explain_settings_errors():
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


def fail(message: str) -> NoReturn:
    """Print the message to standard error, and exit with status 1."""
    typer.echo(redactor(message), err=True)
    raise typer.Exit(1)


@contextmanager
def explain_settings_errors(fail: Fail = fail) -> Generator[None]:
    """Exit with one line for each invalid setting."""
    try:
        yield
    except ValidationError as error:
        fail("\n".join(settings_errors(error)))
    except SetupError as error:
        fail(str(error))
    except OSError:
        fail("DATABASE_URL: cannot create or write the folder of the database. Name another one.")


def run_async(work: Coroutine[Any, Any, T], fail: Fail = fail) -> T:
    """Run a command's coroutine and return its result; exit with a message on a known error."""
    try:
        return asyncio.run(work)
    except NotFoundError:
        fail("This thread does not exist.")
    except DatabaseUnavailable as error:
        fail(f"The database {error.cause.fix}.")
    except (AppError, MigrationRefused, TransferRefused) as error:
        fail(str(error))
    except SQLAlchemyError:
        fail("The database does not answer. Check DATABASE_URL, or run `doctor` for details.")
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
