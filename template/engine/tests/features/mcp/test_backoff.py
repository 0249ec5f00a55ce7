"""The pauses between attempts to reach a server."""

from chatkit_engine.features.mcp.client.connection import seconds_before


def test_a_pause_is_twice_the_one_before_up_to_half_a_minute() -> None:
    pauses = [seconds_before(attempt) for attempt in range(1, 9)]

    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert seconds_before(10_000) == 30
