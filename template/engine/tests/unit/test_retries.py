"""Tests the retry settings for the Agents SDK."""

from agents import ModelRetryBackoffSettings

from chatkit_engine.models.resilience import retry_settings


def test_retries_wait_longer_each_time_with_jitter() -> None:
    settings = retry_settings(max_retries=3, longest_wait=60)

    assert settings.max_retries == 3
    assert isinstance(settings.backoff, ModelRetryBackoffSettings)
    assert settings.backoff.multiplier == 2
    assert settings.backoff.max_delay == 2
    assert settings.backoff.jitter
