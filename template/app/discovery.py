"""Finds what a folder's modules define, so that adding a file is enough."""

from collections.abc import Callable, Iterable
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")


def discover(package: str, path: Iterable[str], kind: type[T]) -> list[T]:
    """Return the values of a type in a package's modules, by module and by name."""
    modules = _modules(package, path)
    found = [value for module in modules for _, value in sorted(vars(module).items())]
    return list({id(value): value for value in found if isinstance(value, kind)}.values())


def discover_factories(package: str, path: Iterable[str]) -> list[Callable[..., Any]]:
    """Return the function `create` of each of a package's modules that has one, by module."""
    return [module.create for module in _modules(package, path) if hasattr(module, "create")]


def _modules(package: str, path: Iterable[str]) -> list[ModuleType]:
    names = sorted(module.name for module in iter_modules(path))
    return [import_module(f"{package}.{name}") for name in names]
