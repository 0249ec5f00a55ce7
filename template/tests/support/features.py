"""A feature of the test's own: a folder, found as any other."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from app import features

AddFeature = Callable[[str, str], Any]


@contextmanager
def feature_adder(folder: Path) -> Generator[AddFeature]:
    """Give a function that writes a feature's `__init__.py` and returns its module."""
    added: list[str] = []

    def add(name: str, source: str) -> Any:
        package = folder / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(source)
        added.append(f"{features.__name__}.{name}")
        return import_module(added[-1])

    features.__path__.append(str(folder))
    yield add
    features.__path__.remove(str(folder))
    for module in added:
        sys.modules.pop(module)
