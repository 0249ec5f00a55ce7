"""Discovers what an application's folders define, so that adding a file is enough.

An application is a package, by default `app`. The engine looks in these modules and folders, and
imports nothing else of it:

| in the package | what is found |
|---|---|
| `settings.py` | the class `Settings` |
| `assistant.py` | `install(builder)` |
| `commands.py` | `commands`, a `typer.Typer` |
| `agents/` | specialists: `create(factory)`; agents used as tools: `create_tool(factory)` |
| `tools/` | each `@function_tool`, each `ClientTool`, and `create_tool(factory)` |
| `widgets/` | each `@widget_action` and `@sync_action` |
| `features/NAME/` | `feature.py` with `install(builder)`; `commands.py`; `mcp_tools.py` |
| `locale/`, `features/NAME/locale/` | translations |

A missing folder counts as an empty one. Commands import this module first, so it imports nothing
that is slow.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, TypeVar

ENGINE = "chatkit_engine"
T = TypeVar("T")


def values_in(package: str, kind: type[T]) -> list[T]:
    """Return the values of a type in a package's modules, each once, sorted by module and name."""
    found = [value for module in modules_in(package) for _, value in sorted(vars(module).items())]
    return list({id(value): value for value in found if isinstance(value, kind)}.values())


def functions_in(package: str, name: str) -> list[Callable[..., Any]]:
    """Return the functions of this name in a package's modules, sorted by module."""
    return [getattr(module, name) for module in modules_in(package) if hasattr(module, name)]


def modules_in(package: str) -> list[ModuleType]:
    """Import the modules of a package, sorted by name. Empty if the package does not exist."""
    return [import_module(f"{package}.{name}") for name in _names(package, folders=False)]


def optional_module(name: str) -> ModuleType | None:
    """Import a module if it exists. An error inside the module is raised."""
    parent = name.rpartition(".")[0]
    if not _exists(parent) or find_spec(name) is None:
        return None
    return import_module(name)


def feature_names(package: str) -> list[str]:
    """Return the names of a package's features, sorted."""
    return _names(f"{package}.features", folders=True)


def feature_modules(package: str, module: str) -> dict[str, ModuleType]:
    """Import a module, for example `commands`, from each feature that has it; keys are features."""
    found = {
        name: optional_module(f"{package}.features.{name}.{module}")
        for name in feature_names(package)
    }
    return {name: module for name, module in found.items() if module is not None}


def locale_folders(package: str) -> list[Path]:
    """Return the folders with an application's translations: its own, then its features'."""
    roots = [Path(path) for path in import_module(package).__path__]
    return [
        folder
        for root in roots
        for folder in (root / "locale", *sorted(root.glob("features/*/locale")))
        if folder.is_dir()
    ]


def settings_class(app: str) -> type[Any]:
    """Return the class `Settings` in the application's `settings.py`, or else the engine's."""
    module = optional_module(f"{app}.settings") or import_module(f"{ENGINE}.settings.core")
    return module.Settings


def _names(package: str, *, folders: bool) -> list[str]:
    if not _exists(package):
        return []
    found = iter_modules(import_module(package).__path__)
    return sorted(module.name for module in found if module.ispkg == folders)


def _exists(package: str) -> bool:
    parts = package.split(".")
    # From the top, because find_spec() raises if a parent package is missing.
    parents = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return all(find_spec(parent) is not None for parent in parents)
