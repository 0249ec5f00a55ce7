"""The planner: an agent without tools that answers with a value."""

import json

from app.agents.planner import INSTRUCTIONS
from chatkit_engine.testing import FakeModelApi, Reply, Running, create, tool_call

PLANNED = Reply(json.dumps({"title": "A cake", "steps": [{"title": "Bake", "minutes": 40}]}))


async def test_it_has_instructions_of_its_own_no_tools_and_the_users_language(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    model_api.script(tool_call("make_plan", goal="Ein Kuchen"), PLANNED, Reply("Bitte"))

    await app_with_model.ask(create("Ein Kuchen"), headers={"Accept-Language": "de"})

    assert model_api.instructions(1).startswith(INSTRUCTIONS)
    assert "locale de" in model_api.instructions(1)
    assert model_api.offered_tools(1) == set()
    wanted = model_api.requests[1]["text"]["format"]
    assert wanted["type"] == "json_schema"
    assert set(wanted["schema"]["properties"]) == {"title", "steps"}
