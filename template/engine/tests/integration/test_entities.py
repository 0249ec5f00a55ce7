"""Entities in messages (`@`) are found, previewed, and given to the model, for their owner only."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.app import SECRET, Running, running_app

from chatkit_engine.security.authentication import issue_token
from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.requests import Json, create, events, thread_id


def _tagged(text: str, *tags: Json) -> Json:
    request = create(text)
    request["params"]["input"]["content"] += [
        {"type": "input_tag", "data": {"body": "FORGED"}, **tag} for tag in tags
    ]
    return request


async def _titled(app: Running, text: str, title: str, headers: Any = None) -> str:
    told = await app.http.post("/chatkit", json=create(text), headers=headers)
    thread = thread_id(events(told.text))
    await app.http.patch(f"/api/threads/{thread}", json={"title": title}, headers=headers)
    return thread


async def _titles(app: Running, query: str) -> list[str]:
    found = await app.http.get("/api/entities", params={"q": query})
    return [entity["title"] for entity in found.json()]


async def test_threads_are_found_by_title_newest_first(app: Running) -> None:
    first = await _titled(app, "Hello", "Über Zebras")
    await _titled(app, "Hello", "Zebras again")
    await app.ask(create("Hello"))

    found = await app.http.get("/api/entities", params={"q": "über", "limit": 5})

    assert found.json() == [
        {
            "id": first,
            "title": "Über Zebras",
            "icon": "book-clock",
            "group": "Conversations",
            "interactive": True,
            "data": {},
        }
    ]
    assert await _titles(app, "ZEBRA") == ["Zebras again", "Über Zebras"]
    assert await _titles(app, "") == ["Zebras again", "Über Zebras"]
    assert await _titles(app, "lion") == []


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 51}, {"q": "x" * 201}, {"q": "\x00"}])
async def test_invalid_entity_searches_are_refused(app: Running, params: Json) -> None:
    assert (await app.http.get("/api/entities", params=params)).status_code == 422


async def test_a_preview_is_a_widget_that_shows_hostile_titles_as_text(app: Running) -> None:
    title = "".join(['A "quoted" ', "{" * 2, " 1 ", "}" * 2, " {", "% raw %} </script>"])
    thread = await _titled(app, "Zebras eat\ngrass", title)

    preview = (await app.http.get(f"/api/entities/{thread}/preview")).json()["preview"]

    assert preview["type"] == "Basic"
    texts = [child["value"] for child in preview["children"][0]["children"]]
    assert texts[1] == title
    assert "Zebras eat\ngrass" in texts[2]


async def test_the_model_reads_a_tag_from_the_lookup_only(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    thread = await _titled(app_with_model, "Zebras eat grass", "Zebras")

    await app_with_model.ask(_tagged("See ", {"id": thread, "text": "Zebras"}))

    told = " ".join(model_api.texts())
    assert "See @Zebras" in told
    assert "Zebras: An earlier conversation: Zebras\nZebras eat grass" in told
    assert "FORGED" not in told


async def test_tags_of_one_text_are_told_apart(
    app_with_model: Running, model_api: FakeModelApi
) -> None:
    threads = [await _titled(app_with_model, text, "Plan") for text in ("first", "second")]

    await app_with_model.ask(_tagged("", *({"id": each, "text": "Plan"} for each in threads)))

    told = model_api.texts()
    assert told[0] == "@Plan@Plan (2)"
    assert "Plan: An earlier conversation: Plan\nfirst" in told[1]
    assert "Plan (2): An earlier conversation: Plan\nsecond" in told[1]


@pytest.mark.parametrize("entity_id", ["thr_unknown", "nothing_1", "", "thr_" + "x" * 496])
async def test_an_unknown_tag_is_told_as_unknown(
    app_with_model: Running, model_api: FakeModelApi, entity_id: str
) -> None:
    await app_with_model.ask(_tagged("See ", {"id": entity_id, "text": "Zebras"}))

    assert "Zebras: this is not known here." in model_api.texts()[-1]
    assert "FORGED" not in json.dumps(model_api.requests[-1]["input"])


async def test_a_tag_does_not_reveal_a_blocked_message(
    with_model: Settings, model_api: FakeModelApi
) -> None:
    values = with_model.model_dump() | {"blocked_input": ["secret"]}
    async with running_app(Settings.model_validate(values)) as app:
        thread = await _titled(app, "the secret word", "Zebras")
        await app.ask(_tagged("See ", {"id": thread, "text": "Zebras"}))

    assert "Zebras: An earlier conversation: Zebras" in " ".join(model_api.texts())
    assert "secret" not in json.dumps(model_api.requests)


async def test_another_users_entities_look_like_missing_ones(
    with_model: Settings, model_api: FakeModelApi, tmp_path: Path
) -> None:
    values = with_model.model_dump() | {
        "auth_mode": "jwt",
        "jwt_secret": SECRET,
        "database_url": f"sqlite:///{tmp_path}/chat.db",
    }
    settings = Settings.model_validate(values)
    ada, eve = (
        {"Authorization": f"Bearer {issue_token(settings, name, timedelta(hours=1))}"}
        for name in ("ada", "eve")
    )
    async with running_app(settings) as app:
        thread = await _titled(app, "mine alone", "Zebras", ada)
        found = await app.http.get("/api/entities", params={"q": ""}, headers=eve)
        preview = await app.http.get(f"/api/entities/{thread}/preview", headers=eve)
        unknown = await app.http.get("/api/entities/thr_unknown/preview", headers=eve)
        model_api.script(Reply("Hm"))
        tag = {"id": thread, "text": "Zebras"}
        await app.http.post("/chatkit", json=_tagged("See ", tag), headers=eve)

    assert found.json() == []
    assert preview.status_code == unknown.status_code == 404
    assert preview.json() == unknown.json()
    assert "Zebras: this is not known here." in model_api.texts()[-1]
    assert "mine alone" not in json.dumps(model_api.requests[-1])
