"""Features that come and go whole: each folder here has an `install(builder)`.

A feature's commands are in its `commands.py`, as a `typer.Typer` of that name: they are listed also
while the settings are wrong.
"""

from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Protocol, cast

import structlog

if TYPE_CHECKING:
    from typer import Typer

    from app.builder import Builder

log = structlog.stdlib.get_logger(__name__)


class Feature(Protocol):
    """A feature's package."""

    def install(self, builder: "Builder") -> None: ...


def discover_features() -> dict[str, Feature]:
    """Return the features by name, sorted."""
    names = sorted(module.name for module in iter_modules(__path__) if module.ispkg)
    return {name: cast(Feature, import_module(f"{__name__}.{name}")) for name in names}


def discover_commands() -> "list[Typer]":
    """Return the command lines of the features that have a module `commands` with `commands`."""
    modules = [f"{__name__}.{name}.commands" for name in discover_features()]
    return [import_module(name).commands for name in modules if find_spec(name)]


def install_features(builder: "Builder") -> None:
    features = discover_features()
    for feature in features.values():
        feature.install(builder)
    log.info("features", installed=list(features))
