"""A failed call is logged with the server's text, but the model does not receive it."""

from typing import Any

from agents import RunContextWrapper
from mcp import MCPError
from mcp.types import INVALID_PARAMS
from structlog.testing import capture_logs

from chatkit_engine.features.mcp.client.errors import call_error, call_failed


def test_a_servers_error_text_is_logged_and_not_given_to_the_model() -> None:
    said = MCPError(INVALID_PARAMS, "no city of this name" + "!" * 1_000)
    refused = call_error(said, "post")
    refused.__cause__ = said
    context: RunContextWrapper[Any] = RunContextWrapper(context=None)

    with capture_logs() as logged:
        told = call_failed(context, refused)

    assert "reported an error" in told
    assert "city" not in told
    assert logged[0]["server"] == "post"
    assert logged[0]["said"].startswith("no city of this name!")
    assert len(logged[0]["said"]) == 500
