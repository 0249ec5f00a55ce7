"""Handlers for a widget's buttons and forms, found by the action's type.

The payload comes from the front end, so it is validated before the handler sees it.
"""

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
    """An action that starts a turn. Everything its handler shows is streamed and stored."""

    name: str
    payload: type[Payload]
    handler: Handler[Payload]


@dataclass(frozen=True)
class SyncAction(Generic[Payload]):
    """An action that is answered at once, with the item that it changed, if any."""

    name: str
    payload: type[Payload]
    handler: SyncHandler[Payload]


AnyAction = WidgetAction[Any] | SyncAction[Any]


def widget_action(
    name: str, payload: type[Payload]
) -> Callable[[Handler[Payload]], WidgetAction[Payload]]:
    """Register the decorated function for `threads.custom_action` requests of this type."""
    return lambda handler: WidgetAction(name, payload, handler)


def sync_action(
    name: str, payload: type[Payload]
) -> Callable[[SyncHandler[Payload]], SyncAction[Payload]]:
    """Register the decorated function for `threads.sync_custom_action` requests of this type."""
    return lambda handler: SyncAction(name, payload, handler)


class Actions:
    """The application's actions."""

    def __init__(self, actions: Iterable[AnyAction] = ()) -> None:
        # A streamed and a synchronous action may share a name.
        self._actions = {(type(action), action.name): action for action in actions}

    def find_widget_action(self, action: Action[str, Any]) -> tuple[WidgetAction[Any], BaseModel]:
        """Return the handler of a `threads.custom_action` request and the validated payload.

        Raises:
            BadRequest: there is no such action, or its payload is invalid.
        """
        found = self._find(WidgetAction, action)
        return found, parse_payload(found.payload, action)

    def find_sync_action(self, action: Action[str, Any]) -> tuple[SyncAction[Any], BaseModel]:
        """Return the handler of a `threads.sync_custom_action` request and the validated payload.

        Raises:
            BadRequest: there is no such action, or its payload is invalid.
        """
        found = self._find(SyncAction, action)
        return found, parse_payload(found.payload, action)

    def _find(self, kind: type[Any], action: Action[str, Any]) -> Any:
        found = self._actions.get((kind, action.type))
        if found is None:
            raise BadRequest(_("This assistant has no handler for this action."))
        return found


def parse_payload(payload: type[Payload], action: Action[str, Any]) -> Payload:
    """Return the action's payload as an instance of its type, or raise `BadRequest`."""
    try:
        return payload.model_validate({} if action.payload is None else action.payload)
    except ValidationError as error:
        raise BadRequest(
            _("The action's payload is not what it needs; `errors` says why."),
            errors=describe_errors(error.errors(include_input=False, include_context=False)),
        ) from None
