"""Completes an agent's instructions with what is known of the request."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable

from agents import Agent, RunContextWrapper

from chatkit_engine.assistant.context import TurnContext

LANGUAGE = """
Answer in the language of the user's message. If it is unclear, use that of the locale {locale}."""

COLLEAGUES = """
You work with other agents; to the user all of you are one assistant. When a request is for one of
them, call the transfer tool at once: do not ask first, do not mention it, and write nothing before
it. Answer requests that are yours yourself. The others:
{colleagues}"""

Instructions = str | Callable[[TurnContext], str | Awaitable[str]]
"""A text, or a function that returns the text for one turn."""

AgentInstructions = Callable[[RunContextWrapper[TurnContext], Agent[TurnContext]], Awaitable[str]]


def brief(instructions: Instructions) -> AgentInstructions:
    """Add the user's language, and the agents to hand off to, to the instructions."""

    async def briefed(ctx: RunContextWrapper[TurnContext], agent: Agent[TurnContext]) -> str:
        text = instructions if isinstance(instructions, str) else instructions(ctx.context)
        own = await text if isawaitable(text) else text
        language = LANGUAGE.format(locale=ctx.context.request_context.locale)
        return own + language + _describe_colleagues(agent)

    return briefed


def _describe_colleagues(agent: Agent[TurnContext]) -> str:
    others = [each for each in agent.handoffs if isinstance(each, Agent)]
    lines = [f"- {each.name}: {each.handoff_description or ''}" for each in others]
    return COLLEAGUES.format(colleagues="\n".join(lines)) if lines else ""
