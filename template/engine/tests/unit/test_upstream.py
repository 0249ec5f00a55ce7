"""The private names of the SDKs that we use exist in the installed versions."""

import asyncio
import inspect
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, cast

import pytest
from agents.exceptions import (
    _should_drain_stream_events_before_raising,  # pyright: ignore[reportPrivateUsage]
)

import chatkit_engine
from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.models.chat_completions import ChatCompletionsModel
from chatkit_engine.models.client import Client
from chatkit_engine.models.responses import ResponsesModel
from chatkit_engine.run.conversion import Converter
from chatkit_engine.run.images import ImageStream
from chatkit_engine.run.server import RequestServer
from chatkit_engine.upstream import (
    ATTRIBUTES,
    CALLED,
    OVERRIDDEN,
    PrivateAttribute,
    PrivateMethod,
    mark_error_to_drain_stream_events,
)

SUBCLASSES = (
    RequestServer,
    TurnContext,
    Converter,
    ImageStream,
    ChatCompletionsModel,
    ResponsesModel,
    Client,
)
PACKAGE = Path(chatkit_engine.__file__).parent


@pytest.mark.parametrize("method", [*OVERRIDDEN, *CALLED], ids=lambda method: method.name)
def test_a_private_method_takes_the_parameters_that_we_rely_on(method: PrivateMethod) -> None:
    function = getattr(resolve_name(method.owner), method.name)
    parameters = list(inspect.signature(function).parameters)[1:]
    assert tuple(parameters[: len(method.parameters)]) == method.parameters


@pytest.mark.parametrize("attribute", ATTRIBUTES, ids=lambda attribute: attribute.name)
def test_a_private_attribute_is_an_event_queue(attribute: PrivateAttribute) -> None:
    private = resolve_name(attribute.owner).__private_attributes__[attribute.name]
    assert isinstance(private.get_default(), asyncio.Queue)


def test_a_marked_error_lets_the_events_before_it_through() -> None:
    error = RuntimeError("the model failed")
    assert not _should_drain_stream_events_before_raising(error)
    mark_error_to_drain_stream_events(error)
    assert _should_drain_stream_events_before_raising(error)


def test_every_private_method_that_we_override_is_listed() -> None:
    listed = {(resolve_name(method.owner), method.name) for method in OVERRIDDEN}
    assert {found for kind in SUBCLASSES for found in _overridden(kind)} == listed


def test_no_other_module_imports_private_names() -> None:
    users = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "reportPrivateUsage" in path.read_text("utf-8")
    ]
    assert users == ["upstream.py"]


def _overridden(kind: type[Any]) -> list[tuple[type[Any], str]]:
    """Return each private method of the class that one of its bases outside the engine has."""
    bases = [base for base in kind.__mro__ if not base.__module__.startswith("chatkit_engine")]
    own = [base for base in kind.__mro__ if base.__module__.startswith("chatkit_engine")]
    names = {name for base in own for name in vars(base) if name.startswith("_")}
    return [
        (base, name)
        for name in sorted(names)
        if not name.startswith("__")
        for base in bases[:1]
        if callable(cast(Any, getattr(base, name, None)))
    ]
