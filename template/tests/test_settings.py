"""The settings: where their values come from, and what happens to wrong ones."""

from pathlib import Path

import pytest
from pydantic_settings import SettingsConfigDict

from app.settings import Settings
from chatkit_engine.testing import run_command


class WithLimit(Settings):
    """Settings with a field of the project's own."""

    daily_limit: int = 5


def test_a_field_of_your_own_is_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAILY_LIMIT", "7")

    assert WithLimit().daily_limit == 7


def test_the_environment_wins_over_the_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("DAILY_LIMIT=1\nPORT=1234\n")
    monkeypatch.setenv("PORT", "2345")

    assert (WithLimit().daily_limit, WithLimit().port) == (1, 2345)


def test_the_defaults_of_the_project_are_the_lowest_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = tmp_path / "defaults.toml"
    defaults.write_text('project_name = "Tutor"\nport = 1234\n')
    monkeypatch.setenv("PORT", "2345")

    class WithDefaults(Settings):
        model_config = SettingsConfigDict(toml_file=defaults)

    assert (WithDefaults().project_name, WithDefaults().port) == ("Tutor", 2345)


def test_doctor_finds_nothing_wrong() -> None:
    result = run_command("doctor")

    assert result.exit_code == 0, result.output
    assert "FAIL" not in result.output


def test_doctor_names_a_wrong_setting() -> None:
    result = run_command("doctor", PORT="http")

    assert result.exit_code == 1
    assert "PORT" in result.output


def test_production_is_refused_without_a_login() -> None:
    result = run_command("doctor", ENVIRONMENT="production", OPENAI_API_KEY="sk-test")

    assert result.exit_code == 1
    assert "AUTH_MODE=jwt" in result.output
