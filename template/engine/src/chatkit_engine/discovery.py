"""Finds what a package's folders define, so that adding a file is enough.

An application is a package, `app` unless another name is given. The engine looks into its folders
by their names and imports nothing else of it:

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

A folder that is not there is an empty one. This module imports nothing that is slow to import.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, TypeVar

ENGINE = "chatkit_engine"
T = TypeVar("T")


def values_in(package: str, kind: type[T]) -> list[T]:
    """Return the values of a type in a package's modules, by module and by name, each once."""
    found = [value for module in modules_in(package) for _, value in sorted(vars(module).items())]
    return list({id(value): value for value in found if isinstance(value, kind)}.values())


def functions_in(package: str, name: str) -> list[Callable[..., Any]]:
    """Return the function of this name from each of a package's modules that has one."""
    return [getattr(module, name) for module in modules_in(package) if hasattr(module, name)]


def modules_in(package: str) -> list[ModuleType]:
    """Import the modules of a package, sorted by name; none where there is no such package."""
    return [import_module(f"{package}.{name}") for name in _names(package, folders=False)]


def optional_module(name: str) -> ModuleType | None:
    """Import a module if it exists. An error inside it is raised, not taken for its absence."""
    parent = name.rpartition(".")[0]
    if not _exists(parent) or find_spec(name) is None:
        return None
    return import_module(name)


def feature_names(package: str) -> list[str]:
    """Return the names of a package's features, sorted."""
    return _names(f"{package}.features", folders=True)


def feature_modules(package: str, module: str) -> dict[str, ModuleType]:
    """Import a module, such as `commands`, of each feature that has one, by the feature's name."""
    found = {
        name: optional_module(f"{package}.features.{name}.{module}")
        for name in feature_names(package)
    }
    return {name: module for name, module in found.items() if module is not None}


def locale_folders(package: str) -> list[Path]:
    """Return the folders with a package's translations: its own, then its features'."""
    roots = [Path(place) for place in import_module(package).__path__]
    return [
        folder
        for root in roots
        for folder in (root / "locale", *sorted(root.glob("features/*/locale")))
        if folder.is_dir()
    ]


def settings_class(app: str) -> type[Any]:
    """Return the class `Settings` of the application's `settings.py`, else the engine's."""
    module = optional_module(f"{app}.settings") or import_module(f"{ENGINE}.settings.core")
    return module.Settings


def _names(package: str, *, folders: bool) -> list[str]:
    if not _exists(package):
        return []
    found = iter_modules(import_module(package).__path__)
    return sorted(module.name for module in found if module.ispkg == folders)


def _exists(package: str) -> bool:
    return all(find_spec(part) is not None for part in _prefixes(package))


def _prefixes(package: str) -> Iterator[str]:
    parts = package.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))
