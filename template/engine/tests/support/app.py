"""Runs the sample application as in production: in this process, or as a server process."""

from functools import partial
from pathlib import Path

from chatkit_engine.testing import app as testing
from chatkit_engine.testing.app import (
    LOCAL,
    SECRET,
    Running,
    Server,
    make_settings,
    with_provider,
)

__all__ = [
    "LOCAL",
    "ROOT",
    "SAMPLE",
    "SECRET",
    "TESTS",
    "Running",
    "Server",
    "make_settings",
    "running_app",
    "running_server",
    "with_provider",
]

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
SAMPLE = "sample"

running_app = partial(testing.running_app, app=SAMPLE)
running_server = partial(testing.running_server, app=SAMPLE)
