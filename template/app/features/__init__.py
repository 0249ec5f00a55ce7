"""Features that come and go whole: each folder here has an `install(builder)`."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol, cast

import structlog

from app.builder import Builder

log = structlog.stdlib.get_logger(__name__)


class Feature(Protocol):
    """A feature's package."""

    def install(self, builder: Builder) -> None: ...


def discover_features() -> dict[str, Feature]:
    """Return the features by name, sorted."""
    names = sorted(module.name for module in iter_modules(__path__) if module.ispkg)
    return {name: cast(Feature, import_module(f"{__name__}.{name}")) for name in names}


def install_features(builder: Builder) -> None:
    features = discover_features()
    for feature in features.values():
        feature.install(builder)
    log.info("features", installed=list(features))
