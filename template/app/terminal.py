"""What commands share: settings that are explained, and errors that end in one line."""

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import typer
from chatkit.store import NotFoundError
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from app.errors import AppError
from app.settings import explain
from app.store.migrate import MigrationRefused
from app.store.transfer import TransferRefused

T = TypeVar("T")


@contextmanager
def explained() -> Generator[None]:
    """Name the settings that are wrong, and exit."""
    try:
        yield
    except ValidationError as error:
        fail("\n".join(explain(error)))
    except OSError:
        fail("DATABASE_URL: its folder cannot be made or written. Name another.")


def run(work: Coroutine[Any, Any, T]) -> T:
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
