"""The application's command line, in this process."""

from typer.testing import CliRunner, Result

from chatkit_engine.cli.commands import create_cli


def run_command(*arguments: str, app: str = "app", **environment: str) -> Result:
    """Run a command, such as `run_command("doctor")`, with these variables set.

    The result has `exit_code`, `stdout` and `output`, which is all that the terminal shows.
    """
    return CliRunner().invoke(create_cli(app), arguments, env=environment)
