"""Asks a model once, to find out whether its key, its URL and its name are right."""

import asyncio

import structlog
from agents import Agent, Model, ModelSettings, RunConfig, Runner

from chatkit_engine.models.provider_errors import explain
from chatkit_engine.models.resilience import AnswerBroken

log = structlog.stdlib.get_logger(__name__)

QUESTION = "Answer with the word: yes"


async def why_silent(model: Model, seconds: float) -> str:
    """Ask the model, as a turn does. Return why it does not answer within `seconds`, or nothing."""
    agent = Agent(name="trial", model=model, model_settings=ModelSettings(store=False))
    config = RunConfig(tracing_disabled=True)
    try:
        async with asyncio.timeout(seconds):
            result = Runner.run_streamed(agent, QUESTION, max_turns=1, run_config=config)
            async for _ in result.stream_events():
                pass
    except TimeoutError:
        return f"the provider does not answer within {seconds:g} s"
    except AnswerBroken:
        return "what answers is no model: check LLM_BASE_URL"
    except Exception as error:
        log.debug("the trial failed", exc_info=error)
        return explain(error) or f"the request fails with {type(error).__name__}"
    return ""
