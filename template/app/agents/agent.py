"""The agents' class: what it may call is decided anew for each request to the model."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from agents import Agent, RunContextWrapper, Tool

from app.chat.context import AssistantContext
from app.chat.trust import cautious

ToolSource = Callable[[], Awaitable[Sequence[Tool]]]


@dataclass
class AssistantAgent(Agent[AssistantContext]):
    """An agent that also has the tools which its sources list just then."""

    tool_sources: Sequence[ToolSource] = field(default_factory=tuple[ToolSource, ...])

    async def get_all_tools(self, run_context: RunContextWrapper[AssistantContext]) -> list[Tool]:
        tools = await super().get_all_tools(run_context)
        for source in self.tool_sources:
            tools += await source()
        if run_context.context.reads_untrusted:
            return [cautious(tool) for tool in tools]
        return tools
