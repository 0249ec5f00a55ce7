"""`usage`: what a user has used, by model."""

from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.cli.support import load_application
from app.composition import Application
from app.store.usage import Amount, ModelAmount, summary, total
from app.terminal import run

commands = typer.Typer()


@commands.command()
def usage(
    user: Annotated[str, typer.Option(help="Whose usage.")],
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first day, in UTC.")
    ] = None,
) -> None:
    """Print what a user has used of each model: requests, tokens and their cost."""
    start = since.replace(tzinfo=UTC).timestamp() if since else None
    models = run(_summary(load_application(), user, start))
    lines = [_line(each.model, each) for each in models]
    typer.echo("\n".join([*lines, _line("total", total(models))]))


async def _summary(application: Application, user: str, start: float | None) -> list[ModelAmount]:
    async with aclosing(application.database) as database:
        return await database.read(summary, user, since=start)


def _line(name: str, amount: Amount) -> str:
    cost = "cost unknown" if amount.cost is None else f"${amount.cost:.4f}"
    return (
        f"{name}: requests {amount.requests}, input tokens {amount.input_tokens} "
        f"(cached {amount.cached_tokens}), output tokens {amount.output_tokens}, {cost}"
    )
