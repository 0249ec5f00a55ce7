"""Tests the waits between attempts to reach a server."""

from chatkit_engine.features.mcp.client.connection import backoff_seconds


def test_each_wait_is_twice_the_one_before_up_to_half_a_minute() -> None:
    waits = [backoff_seconds(attempt) for attempt in range(1, 9)]

    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff_seconds(10_000) == 30
