"""The planner: an agent that returns a plan as a value."""

from typing import Annotated

from agents import Agent
from pydantic import BaseModel, Field

from chatkit_engine import AgentFactory, TurnContext, brief

INSTRUCTIONS = """\
You make a plan for the goal that you are given: a short title, and three to eight steps in their
order. Each step is one thing to do, with the minutes that it is likely to take."""


class PlanStep(BaseModel):
    """One thing to do, and the minutes that it takes."""

    title: str
    minutes: Annotated[int, Field(ge=1)]


class Plan(BaseModel):
    """Steps towards a goal, in their order."""

    title: str
    steps: Annotated[list[PlanStep], Field(min_length=1)]


def create_planner(factory: AgentFactory) -> Agent[TurnContext]:
    return factory.agent("Planner", brief(INSTRUCTIONS), tools=[])
