"""The agents that work together: the assistant, and the specialists that it hands off to."""

from collections.abc import Callable, Sequence

from agents import Agent

from app.agents.assistant import create_assistant
from app.agents.kit import AgentKit
from app.chat.context import AssistantContext

Specialist = Callable[[AgentKit], Agent[AssistantContext]]


def create_team(
    kit: AgentKit, specialists: Sequence[Specialist] = ()
) -> dict[str, Agent[AssistantContext]]:
    """Return the agents by name, the assistant first. Each specialist can hand back to it."""
    assistant = create_assistant(kit)
    team = [specialist(kit) for specialist in specialists]
    assistant.handoffs = [*team]
    for member in team:
        member.handoffs = [assistant]
    return {agent.name: agent for agent in (assistant, *team)}
