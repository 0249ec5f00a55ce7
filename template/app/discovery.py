"""Finds what a folder's modules define, so that adding a file is enough."""

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

T = TypeVar("T")


def discover(package: str, path: Iterable[str], kind: type[T]) -> list[T]:
    """Return the values of a type in a package's modules, by module and by name."""
    names = sorted(module.name for module in iter_modules(path))
    modules = [import_module(f"{package}.{name}") for name in names]
    found = [value for module in modules for _, value in sorted(vars(module).items())]
    return list({id(value): value for value in found if isinstance(value, kind)}.values())
