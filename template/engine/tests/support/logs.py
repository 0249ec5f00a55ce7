"""Captures what a module logs, independent of what an earlier test has configured."""

from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType
from unittest.mock import patch

import structlog
from structlog.testing import LogCapture
from structlog.typing import EventDict


@contextmanager
def logged_by(module: ModuleType) -> Generator[list[EventDict]]:
    capture = LogCapture()
    logger = structlog.wrap_logger(None, [capture], structlog.stdlib.BoundLogger)
    with patch.object(module, "log", logger):
        yield capture.entries
