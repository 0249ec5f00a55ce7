"""The sample application's command line."""

from chatkit_engine.cli.commands import create_cli
from support.app import SAMPLE

cli = create_cli(SAMPLE)
