"""What a widget's buttons and forms do: handlers by the action's type, with checked payloads."""

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from chatkit.actions import Action
from chatkit.types import ThreadItem, WidgetItem
from pydantic import BaseModel, ValidationError

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.errors import BadRequest, describe_errors
from chatkit_engine.i18n import _

Payload = TypeVar("Payload", bound=BaseModel)
Handler = Callable[[TurnContext, WidgetItem | None, Payload], Coroutine[Any, Any, None]]

SyncHandler = Callable[
    [TurnContext, WidgetItem | None, Payload], Coroutine[Any, Any, ThreadItem | None]
]


@dataclass(frozen=True)
class WidgetAction(Generic[Payload]):
    """An action that opens a turn. What its handler shows is streamed and stored."""

    name: str
    payload: type[Payload]
    handler: Handler[Payload]


@dataclass(frozen=True)
class SyncAction(Generic[Payload]):
    """An action that is answered at once, with the item that it changed, if any."""

    name: str
    payload: type[Payload]
    handler: SyncHandler[Payload]


def widget_action(
    name: str, payload: type[Payload]
) -> Callable[[Handler[Payload]], WidgetAction[Payload]]:
    """Make the decorated function the handler of `threads.custom_action` of this type."""
    return lambda handler: WidgetAction(name, payload, handler)


def sync_action(
    name: str, payload: type[Payload]
) -> Callable[[SyncHandler[Payload]], SyncAction[Payload]]:
    """Make the decorated function the handler of `threads.sync_custom_action` of this type."""
    return lambda handler: SyncAction(name, payload, handler)


AnyAction = WidgetAction[Any] | SyncAction[Any]


class Actions:
    """The application's actions."""

    def __init__(self, actions: Iterable[AnyAction] = ()) -> None:
        self._known = {(type(action), action.name): action for action in actions}

    def streamed(self, action: Action[str, Any]) -> tuple[WidgetAction[Any], BaseModel]:
        """Return what handles an action of `threads.custom_action`, and its payload.

        Raises:
            BadRequest: there is no such action, or its payload is wrong.
        """
        found = self._find(WidgetAction, action)
        return found, checked(found.payload, action)

    def sync(self, action: Action[str, Any]) -> tuple[SyncAction[Any], BaseModel]:
        """Return what handles an action of `threads.sync_custom_action`, and its payload.

        Raises:
            BadRequest: there is no such action, or its payload is wrong.
        """
        found = self._find(SyncAction, action)
        return found, checked(found.payload, action)

    def _find(self, kind: type[Any], action: Action[str, Any]) -> Any:
        found = self._known.get((kind, action.type))
        if found is None:
            raise BadRequest(_("This assistant does not know that action."))
        return found


def checked(payload: type[Payload], action: Action[str, Any]) -> Payload:
    """Return the action's payload, or raise `BadRequest`."""
    try:
        return payload.model_validate({} if action.payload is None else action.payload)
    except ValidationError as error:
        raise BadRequest(
            _("The action's payload is not what it needs; `errors` says why."),
            errors=describe_errors(error.errors(include_input=False, include_context=False)),
        ) from None
