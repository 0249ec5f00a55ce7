"""Tools that the front end runs (`onClientTool`), each with the result that it must give."""

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


def front_end_has(name: str) -> Callable[[RunContextWrapper[Any], AgentBase[Any]], bool]:
    """Return an `is_enabled` for a tool that needs something of the front end."""

    def is_enabled(ctx: RunContextWrapper[Any], agent: AgentBase[Any]) -> bool:
        return name in ctx.context.request_context.client_tools

    return is_enabled


class ClientTools:
    """The application's client tools."""

    def __init__(self, tools: Iterable[ClientTool] = ()) -> None:
        self._results = {tool.name: TypeAdapter[Any](tool.result_type) for tool in tools}

    def check(self, name: str, output: object) -> None:
        """Check what the front end gave. A call that was answered wrongly goes on waiting.

        Of a tool that is not declared any JSON is taken.

        Raises:
            BadRequest: it is not of the tool's type.
            ContentTooLarge: it has too many bytes.
        """
        if len(to_json(output)) > MAX_OUTPUT_BYTES:
            raise ContentTooLarge(
                _("The output may have at most {limit} bytes of JSON.", limit=MAX_OUTPUT_BYTES)
            )
        try:
            self._results.get(name, ANYTHING).validate_python(output)
        except ValidationError as error:
            raise BadRequest(
                _("The output is not what the client tool gives; `errors` says why."),
                errors=describe_errors(error.errors(include_input=False, include_context=False)),
            ) from None
