"""A second model that answers where the first one fails before its first word."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import structlog
from agents import Model, ModelResponse, ModelRetryAdvice, ModelRetryAdviceRequest
from agents.items import TResponseStreamEvent

from app.providers.breaker import is_output, stream_of
from app.providers.failures import may_fall_back

log = structlog.stdlib.get_logger(__name__)


class FallbackModel(Model):
    """Two models as one. What the first has begun, the second never goes on with."""

    def __init__(self, first: Model, second: Model) -> None:
        self._first = first
        self._second = second

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        try:
            return await self._first.get_response(*args, **kwargs)
        except Exception as error:
            if not may_fall_back(error):
                raise
            _log(error)
        return await self._second.get_response(*args, **kwargs)

    async def stream_response(
        self, *args: Any, **kwargs: Any
    ) -> AsyncGenerator[TResponseStreamEvent]:
        has_begun = False
        try:
            async with aclosing(stream_of(self._first, *args, **kwargs)) as events:
                async for event in events:
                    has_begun = has_begun or is_output(event)
                    yield event
                return
        except Exception as error:
            if has_begun or not may_fall_back(error):
                raise
            _log(error)
        async with aclosing(stream_of(self._second, *args, **kwargs)) as events:
            async for event in events:
                yield event

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice | None:
        return self._first.get_retry_advice(request)


def _log(error: Exception) -> None:
    log.warning("the fallback model answers", error=type(error).__name__)
