"""Reads from the SDK what the ChatKit protocol has: every choice in its types, by name.

A kind is a group and a name: a member of a union (`ThreadItem widget`), a value of a field that has
several (`NoticeEvent.level info`), or a method that applications may override (`Store save_item`).
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import chatkit.types as protocol
from chatkit.agents import ResponseStreamConverter, ThreadItemConverter
from chatkit.server import ChatKitServer
from chatkit.store import AttachmentStore, Store
from chatkit.widgets import WidgetComponentBase
from pydantic import BaseModel

Kind = str

WIRE: tuple[Any, ...] = (
    protocol.ChatKitReq,
    protocol.ThreadStreamEvent,
    protocol.Thread,
    protocol.Attachment,
    protocol.TranscriptionResult,
    protocol.SyncCustomActionResponse,
)
HIDDEN = {"ThreadItem hidden_context_item", "ThreadItem sdk_hidden_context"}
OVERRIDABLE: tuple[type[Any], ...] = (
    ChatKitServer,
    Store,
    AttachmentStore,
    ResponseStreamConverter,
    ThreadItemConverter,
)
CALLED_BY_THE_APPLICATION = {"ChatKitServer process", "ThreadItemConverter to_agent_input"}


class Types:
    """The kinds that can be reached from some types. Widgets are a language of their own."""

    def __init__(self, roots: Iterable[Any] = WIRE) -> None:
        self.members: dict[type[BaseModel], set[Kind]] = {}
        self.values: dict[str, set[str]] = {}
        self._seen: set[Any] = set()
        self._names = {_models(union): name for name, union in vars(protocol).items()}
        for root in roots:
            self._visit(root, str(root))

    @property
    def kinds(self) -> set[Kind]:
        members = {kind for kinds in self.members.values() for kind in kinds}
        values = {f"{field} {value}" for field, each in self.values.items() for value in each}
        return members | values

    def found_in(self, value: Any) -> set[Kind]:
        """Return the kinds that a value has in it."""
        if isinstance(value, WidgetComponentBase):
            return set()
        if isinstance(value, BaseModel):
            return self._found_in_model(value)
        parts = cast(list[Any], value) if isinstance(value, list) else []
        return {kind for part in parts for kind in self.found_in(part)}

    def _found_in_model(self, model: BaseModel) -> set[Kind]:
        found = set(self.members.get(type(model), ()))
        for name in type(model).model_fields:
            value, field = vars(model)[name], _declared(type(model), name)
            if field in self.values and value is not None:
                found.add(f"{field} {_plain(value)}")
            found |= self.found_in(value)
        return found

    def _visit(self, annotation: Any, field: str) -> None:
        models, values = _models(annotation), set(_values(annotation))
        if len(models) > 1:
            group = self._names.get(models, field)
            for model in models:
                self.members.setdefault(model, set()).add(f"{group} {_name(model)}")
        if len(values) > 1:
            self.values[field] = values
        for model in models - self._seen:
            self._seen.add(model)
            model.model_rebuild()
            for name, info in model.model_fields.items():
                self._visit(info.annotation, _declared(model, name))


def hooks() -> set[Kind]:
    """Return the methods that an application may override."""
    found = {
        f"{base.__name__} {name}"
        for base in OVERRIDABLE
        for name, value in vars(base).items()
        if callable(value) and not name.startswith("_")
    }
    return found - CALLED_BY_THE_APPLICATION


def _options(annotation: Any) -> Iterator[Any]:
    """Yield what an annotation allows, through unions, lists and annotated types."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _options(arguments[0])
    elif origin in (Union, UnionType, list):
        for argument in arguments:
            yield from _options(argument)
    else:
        yield annotation


def _models(annotation: Any) -> frozenset[type[BaseModel]]:
    classes = (option for option in _options(annotation) if isinstance(option, type))
    models = (option for option in classes if issubclass(option, BaseModel))
    return frozenset(model for model in models if not issubclass(model, WidgetComponentBase))


def _values(annotation: Any) -> Iterator[str]:
    """Yield the values that a field may have; none where any text will do, as for icons."""
    options = list(_options(annotation))
    if str in options:
        return
    for option in options:
        if get_origin(option) is Literal:
            yield from map(str, get_args(option))
        elif isinstance(option, type) and issubclass(option, Enum):
            yield from (str(member.value) for member in option)


def _name(model: type[BaseModel]) -> str:
    """Return what distinguishes a member of a union."""
    tags = list(_values(model.model_fields["type"].annotation)) if _is_tagged(model) else []
    return tags[0] if len(tags) == 1 else model.__name__


def _is_tagged(model: type[BaseModel]) -> bool:
    return "type" in model.model_fields


def _declared(model: type[BaseModel], name: str) -> str:
    """Return a field by the class that declares it, the same for all that inherit it."""
    owners = [each for each in model.__mro__ if name in vars(each).get("__annotations__", {})]
    return f"{owners[-1].__name__}.{name}"


def _plain(value: Any) -> str:
    return str(value.value) if isinstance(value, Enum) else str(value)
