"""When the Agents SDK asks a model again: before its first word only, and as long as it is told."""

from agents import ModelRetryBackoffSettings, ModelRetrySettings
from agents.retry import RetryPolicy, RetryPolicyContext

from app.providers.failures import is_down

# Seconds: 0.25, 0.5, 1, 2, 2, ... , each with a random part, so that clients do not come in step.
PAUSES = ModelRetryBackoffSettings(initial_delay=0.25, multiplier=2.0, max_delay=2.0, jitter=True)


def retry_settings(max_retries: int, longest_wait: float) -> ModelRetrySettings:
    """Return the settings. Retry-After is honoured up to `longest_wait` seconds."""
    return ModelRetrySettings(max_retries=max_retries, backoff=PAUSES, policy=_policy(longest_wait))


def _policy(longest_wait: float) -> RetryPolicy:
    def policy(context: RetryPolicyContext) -> bool:
        advice = context.provider_advice
        suggested = advice.suggested if advice else None
        wait = context.normalized.retry_after
        if suggested is False or (wait is not None and wait > longest_wait):
            return False
        return suggested is True or is_down(context.error)

    return policy
