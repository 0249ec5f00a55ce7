"""Adds features that tests write into a folder, where they are discovered like any other."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

AddFeature = Callable[[str, str], Any]


@contextmanager
def feature_adder(app: str, folder: Path) -> Generator[AddFeature]:
    """Yield a function that writes a feature's `feature.py` and returns its module."""
    features = import_module(f"{app}.features")
    added: list[str] = []

    def add(name: str, source: str) -> Any:
        package = folder / name
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "feature.py").write_text(source)
        added.append(f"{features.__name__}.{name}")
        return import_module(f"{added[-1]}.feature")

    features.__path__.append(str(folder))
    yield add
    features.__path__.remove(str(folder))
    for name in [*sys.modules]:
        if name.startswith(tuple(added)) and added:
            sys.modules.pop(name)
