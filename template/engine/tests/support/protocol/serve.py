"""Runs the command `serve`, and records each ChatKit hook that is called, and where."""

from collections.abc import Callable, Iterator
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import sample.features

import chatkit_engine.features
from chatkit_engine import discovery
from chatkit_engine.cli import main
from support.protocol.sdk import OVERRIDABLE, Kind, hooks

LOG = Path("hooks.log")
OWN_FEATURES = Path(__file__).with_name("features")
ROOT = Path(__file__).parents[3]


def with_the_features_of_the_tests() -> None:
    """Serve the sample with what the conversations need, and none of the engine's features."""
    chatkit_engine.features.__path__[:] = []
    sample.features.__path__[:] = [str(OWN_FEATURES)]
    serve("sample")


def with_the_features_of_the_engine() -> None:
    serve("sample")


def with_the_application() -> None:
    serve("app")


def serve(app: str) -> None:
    """Serve an application, and note the calls of ChatKit's hooks."""
    import_module("chatkit_engine.application")
    for package in (discovery.ENGINE, app):
        discovery.feature_modules(package, "feature")
    for base in OVERRIDABLE:
        for implementation in (base, *_subclasses(base)):
            _note_calls(base, implementation)
    main(app)


def _note_calls(base: type[Any], implementation: type[Any]) -> None:
    for name, method in list(vars(implementation).items()):
        kind = f"{base.__name__} {name}"
        if kind in hooks():
            setattr(implementation, name, _noted(kind, method))


def _noted(kind: Kind, method: Callable[..., Any]) -> Callable[..., Any]:
    line = f"{kind} {_place(Path(method.__code__.co_filename))}\n"

    @wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        with LOG.open("a") as log:
            log.write(line)
        return method(*arguments, **named)

    return call


def _place(file: Path) -> str:
    """Return a file of the project by its path in it, and one of a package by its name."""
    return str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else file.name


def _subclasses(base: type[Any]) -> Iterator[type[Any]]:
    for each in base.__subclasses__():
        yield each
        yield from _subclasses(each)
