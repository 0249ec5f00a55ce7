"""Tests how the client of a provider reads one event."""

import pytest

from chatkit_engine.models.client import CheckedEvent
from chatkit_engine.models.resilience import AnswerBroken


@pytest.mark.parametrize(
    "data",
    ["{", "9" * 5000, "[" * 100_000, '{"delta":' * 100_000, '{"a":[' * 100_000],
    ids=["cut off", "huge number", "deep list", "deep object", "deep mixture"],
)
def test_json_that_cannot_be_read_is_an_answer_that_broke_off(data: str) -> None:
    event = CheckedEvent(event=None, data=data, id=None, retry=None)

    with pytest.raises(AnswerBroken):
        event.json()
