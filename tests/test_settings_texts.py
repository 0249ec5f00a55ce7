"""What a project's texts say of its settings: `.env.example` lists each, the docs each provider."""

from pathlib import Path

import pytest

from app.features.notes.settings import NotesSettings
from app.settings import Settings
from chatkit_engine.features.attachments.settings import AttachmentsSettings
from chatkit_engine.features.mcp.settings import McpSettings, ServerSettings
from chatkit_engine.features.rag.settings import RagSettings
from chatkit_engine.settings.base import SettingsBase
from chatkit_engine.settings.providers import APP, DEMO, PROVIDERS

TEMPLATE = Path(__file__).parents[1] / "template"
EXAMPLE = (TEMPLATE / ".env.example.jinja").read_text()
FROM_THE_ANSWERS = {"project_name", "default_provider"}


@pytest.mark.parametrize(
    "settings", [Settings, AttachmentsSettings, McpSettings, NotesSettings, RagSettings]
)
def test_every_setting_is_in_the_example_file(settings: type[SettingsBase]) -> None:
    missing = {name for name in settings.model_fields if f"# {name.upper()}=" not in EXAMPLE}

    assert missing <= FROM_THE_ANSWERS


def test_the_example_of_mcp_servers_names_each_setting_and_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [line] = [line for line in EXAMPLE.splitlines() if line.startswith("# MCP_SERVERS=")]
    monkeypatch.setenv("MCP_SERVERS", line.partition("=")[2])

    assert [name for name in ServerSettings.model_fields if f"`{name}`" not in EXAMPLE] == []
    assert list(McpSettings().mcp_servers) == ["docs"]


def test_the_docs_have_a_row_for_each_provider() -> None:
    docs = (TEMPLATE / "docs" / "models.md.jinja").read_text()

    for row in PROVIDERS.values():
        if row in (DEMO, APP):
            continue
        assert f"| `{row.name}` |" in docs
        assert (row.key_setting or "").upper() in docs
        assert f"`{row.model}`" in docs or not row.model
