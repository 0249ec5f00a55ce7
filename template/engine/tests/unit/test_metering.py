"""Tests the usage of a run and its cost."""

import pytest
from agents import Usage as Reported
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails
from support.app import make_settings

from chatkit_engine.run.usage import Meter
from chatkit_engine.store.usage import Usage

PRICES = {"gpt-5": (1.25, 0.125, 10.0), "gpt-5-mini": (0.25, 0.025, 2.0), "free": (0.0, 0.0, 0.0)}


def _reported(
    requests: int = 2, read: int = 1000, cached: int = 400, written: int = 100, thought: int = 60
) -> Reported:
    return Reported(
        requests=requests,
        input_tokens=read,
        input_tokens_details=InputTokensDetails(cached_tokens=cached, cache_write_tokens=0),
        output_tokens=written,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=thought),
    )


def _cost(model: str) -> float | None:
    used = Meter(PRICES).read(model, _reported())
    assert used
    return used.cost


def test_cached_input_has_a_price_of_its_own_and_reasoning_is_output() -> None:
    used = Meter(PRICES).read("gpt-5", _reported())

    expected = (600 * 1.25 + 400 * 0.125 + 100 * 10) / 1_000_000
    assert used == Usage("gpt-5", 2, 1000, 400, 100, 60, pytest.approx(expected))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("model", "priced_as"),
    [
        ("gpt-5-2025-08-07", "gpt-5"),
        ("gpt-5-latest", "gpt-5"),
        ("gpt-5@20250807", "gpt-5"),
        ("gpt-5-mini-2025-08-07", "gpt-5-mini"),
    ],
)
def test_a_snapshot_has_the_price_of_its_model(model: str, priced_as: str) -> None:
    assert _cost(model) == _cost(priced_as)


@pytest.mark.parametrize("model", ["gpt-5-nano", "gpt-5.1", "gpt-50", "gpt", "my-gpt-5", ""])
def test_a_model_with_a_similar_name_has_no_price(model: str) -> None:
    assert _cost(model) is None


def test_a_model_that_costs_nothing_is_not_one_without_a_price() -> None:
    assert _cost("free") == 0


def test_nothing_is_used_where_no_request_was_answered() -> None:
    assert Meter(PRICES).read("gpt-5", Reported()) is None


def test_impossible_numbers_are_limited() -> None:
    used = Meter(PRICES).read("gpt-5", _reported(read=10, cached=50, written=-5, thought=10**30))

    assert used == Usage("gpt-5", 2, 10, 10, 0, 2**53, pytest.approx(10 * 0.125e-6))  # pyright: ignore[reportArgumentType]


def test_the_prices_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_PRICES", '{"gpt-5": [1.25, 0.125, 10]}')

    assert make_settings().llm_prices == {"gpt-5": (1.25, 0.125, 10.0)}


@pytest.mark.parametrize(
    "text",
    [
        "gpt-5=1",
        "[1, 2, 3]",
        '{"gpt-5": 1}',
        '{"gpt-5": [1, 2]}',
        '{"gpt-5": [1, 2, -3]}',
        '{"gpt-5": [1, 2, "NaN"]}',
        '{"gpt-5": [1, 2, "much"]}',
    ],
)
def test_invalid_prices_are_refused_with_an_example(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_PRICES", text)

    with pytest.raises(ValueError, match="USD per million"):
        make_settings()
