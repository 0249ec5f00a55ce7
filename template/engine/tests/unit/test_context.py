"""Tests the request's context, from the request to a tool's argument."""

import pytest
from agents.testing import ScriptedModel, assistant_message, function_call
from support.app import running_app

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.context import PageContext
from chatkit_engine.models.registry import ChatModel
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.features import AddFeature
from chatkit_engine.testing.requests import create

PAGE = {
    "current_chapter": 3,
    "current_lesson": "Loops",
    "title": "Chapter 3",
    "url": "https://book.example/3",
    "scroll": {"percent": 40},
}
CONTEXT = {"page_context": PAGE, "selected_text": "for i in range(3)", "timezone": "Europe/Berlin"}


SPY = '''
from agents import RunContextWrapper, function_tool

from chatkit_engine.builder import Builder
from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.trust import read_only

seen: list[TurnContext] = []


@read_only
@function_tool
def look(ctx: RunContextWrapper[TurnContext]) -> str:
    """Look at the page."""
    seen.append(ctx.context)
    return "seen"


def install(builder: Builder) -> None:
    builder.add_tools(look)
'''


@pytest.mark.parametrize("place", ["metadata", "context", "plain"])
async def test_the_page_reaches_a_tool_and_the_model_as_data(
    settings: Settings, add_feature: AddFeature, place: str
) -> None:
    seen: list[TurnContext] = add_feature("spy", SPY).seen
    model = ScriptedModel(
        [[function_call("look", {}, call_id="call_1")], [assistant_message("done")]]
    )
    language = {"Accept-Language": "de-AT,de;q=0.9"}

    async with running_app(settings, ChatModel("scripted", model)) as app:
        if place == "plain":
            body = {"message": "Hello", "context": CONTEXT}
            await app.http.post("/api/chat", json=body, headers=language)
        else:
            body = create("Hello") | {place: CONTEXT}
            await app.http.post("/chatkit", json=body, headers=language)

    assert seen[0].page_context == PageContext(
        current_chapter="3",
        current_lesson="Loops",
        title="Chapter 3",
        url="https://book.example/3",
        extra={"scroll": {"percent": 40}},
    )
    context = seen[0].request_context
    assert context.selected_text == "for i in range(3)"
    assert context.zone.key == "Europe/Berlin"
    assert context.locale == "de-AT"
    assert context.user.id == "local"
    assert context.request_id
    instructions = str(model.calls[0].system_instructions)
    assert "de-AT" in instructions
    assert "Chapter 3" not in instructions
    page, message = model.calls[0].input
    assert "Chapter 3" in str(page)
    assert "for i in range(3)" in str(page)
    assert "Hello" in str(message)


async def test_without_a_page_the_instructions_mention_none(settings: Settings) -> None:
    model = ScriptedModel([[assistant_message("done")]])

    async with running_app(settings, ChatModel("scripted", model)) as app:
        await app.http.post("/api/chat", json={"message": "Hello", "context": {}})

    assert "<page>" not in str(model.calls[0].system_instructions)


async def test_a_request_id_is_kept_if_sane_and_made_if_not(settings: Settings) -> None:
    async with running_app(settings) as app:
        kept = await app.http.get("/health/live", headers={"X-Request-ID": "abc-1.2_3"})
        made = await app.http.get("/health/live", headers={"X-Request-ID": "a b"})

    assert kept.headers["x-request-id"] == "abc-1.2_3"
    assert made.headers["x-request-id"].startswith("req_")
