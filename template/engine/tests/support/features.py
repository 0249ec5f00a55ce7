"""A feature of the test's own: a folder, found as any other."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from chatkit_engine import discovery

AddFeature = Callable[[str, str], Any]

FEATURE_TESTS = Path(__file__).parents[1] / "features"


def wanted_environment() -> dict[str, str]:
    """Return the variables that features ask for in the `test.env` of their tests."""
    files = sorted(FEATURE_TESTS.glob("*/test.env"))
    return {name: value or "" for file in files for name, value in dotenv_values(file).items()}


@contextmanager
def feature_adder(folder: Path) -> Generator[AddFeature]:
    """Give a function that writes a feature's `__init__.py` and returns its module."""
    added: list[str] = []

    def add(name: str, source: str) -> Any:
        package = folder / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(source)
        added.append(f"{discovery.__name__}.{name}")
        return import_module(added[-1])

    discovery.__path__.append(str(folder))
    yield add
    discovery.__path__.remove(str(folder))
    for module in added:
        sys.modules.pop(module)
