"""Tools that the front end runs (`onClientTool`), each with the type of its result."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from agents import AgentBase, RunContextWrapper
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from chatkit_engine.errors import BadRequest, ContentTooLarge, describe_errors
from chatkit_engine.i18n import _

MAX_OUTPUT_BYTES = 100_000
ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


@dataclass(frozen=True)
class ClientTool:
    """A tool of the front end: its name, and the type of its result."""

    name: str
    result_type: Any


class ClientTools:
    """The application's client tools."""

    def __init__(self, tools: Iterable[ClientTool] = ()) -> None:
        self._results = {tool.name: TypeAdapter[Any](tool.result_type) for tool in tools}

    def check(self, name: str, output: object) -> None:
        """Check the output that the front end sends. After an error, the call is still pending.

        A tool that is not declared may return any JSON.

        Raises:
            BadRequest: the output does not match the tool's type.
            ContentTooLarge: the output has more than 100,000 bytes.
        """
        # The output goes to the model, so its size is limited for undeclared tools too.
        if len(to_json(output)) > MAX_OUTPUT_BYTES:
            raise ContentTooLarge(
                _("The output must be at most {limit} bytes of JSON.", limit=MAX_OUTPUT_BYTES)
            )
        try:
            self._results.get(name, ANYTHING).validate_python(output)
        except ValidationError as error:
            raise BadRequest(
                _("The output does not match the client tool's type; `errors` says why."),
                errors=describe_errors(error.errors(include_input=False, include_context=False)),
            ) from None


def front_end_has(name: str) -> Callable[[RunContextWrapper[Any], AgentBase[Any]], bool]:
    """Return an `is_enabled` for a tool that needs the front end to have this tool or effect."""

    def is_enabled(ctx: RunContextWrapper[Any], agent: AgentBase[Any]) -> bool:
        return name in ctx.context.request_context.client_tools

    return is_enabled
