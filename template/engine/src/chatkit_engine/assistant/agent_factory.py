"""Makes the agents: the assistant, the specialists that it hands off to, and agents as tools."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Self

from agents import (
    Agent,
    AgentToolStreamEvent,
    FunctionTool,
    FunctionToolResult,
    RunContextWrapper,
    Tool,
    ToolsToFinalOutputResult,
)
from agents.tool_context import ToolContext

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.failures import tool_failed
from chatkit_engine.assistant.instructions import AgentInstructions, Instructions, brief
from chatkit_engine.assistant.tool_output import result_for_model
from chatkit_engine.assistant.trust import cautious
from chatkit_engine.models.chat_model import ChatModel

ToolSource = Callable[[TurnContext], Awaitable[Sequence[Tool]]]
"""Returns the tools that there are for this turn, just now."""


@dataclass
class ChatAgent(Agent[TurnContext]):
    """An agent that also has the tools which its sources list just then."""

    tool_sources: Sequence[ToolSource] = field(default_factory=tuple[ToolSource, ...])

    async def get_all_tools(self, run_context: RunContextWrapper[TurnContext]) -> list[Tool]:
        tools = await super().get_all_tools(run_context)
        for source in self.tool_sources:
            tools += await source(run_context.context)
        if run_context.context.reads_untrusted:
            return [cautious(tool) for tool in tools]
        return tools


@dataclass(frozen=True)
class AgentFactory:
    """Makes agents. `tools` are those of `app/tools` and of the features.

    A tool that has an agent of its own is made by the factory too, by a function `create(factory)`.
    `tool_sources` list tools that come and go while the application runs.
    """

    model: ChatModel
    tools: Sequence[Tool]
    tool_timeout_seconds: float = 30
    tool_sources: Sequence[ToolSource] = ()
    parallel_tool_calls: bool | None = None

    def agent(
        self,
        name: str,
        instructions: AgentInstructions | str,
        tools: Sequence[Tool] | None = None,
        **more: Any,
    ) -> Agent[TurnContext]:
        """Return an agent; without `tools` it has all of the factory's, and those of its sources."""
        given = self.tools if tools is None else tools
        sources = self.tool_sources if tools is None else ()
        parallel = self.parallel_tool_calls if sources else None
        return ChatAgent(
            name=name,
            instructions=instructions,
            model=self.model.model,
            model_settings=replace(self.model.settings, parallel_tool_calls=parallel),
            tools=[self._bounded(tool) for tool in given],
            tool_sources=[self._bounded_source(source) for source in sources],
            tool_use_behavior=_ends_run,
            **more,
        )

    def agent_tool(self, agent: Agent[TurnContext], name: str, description: str) -> FunctionTool:
        """Return the agent as a tool: it answers the agent that calls it, in the same context.

        Its run is streamed, since a model's timeout is meant for a pause, not for a whole answer.
        """
        return agent.as_tool(
            name, description, on_stream=_unheard, failure_error_function=tool_failed
        )

    def with_tools(self, creators: "Iterable[ToolCreator]") -> Self:
        """Return a factory that also has the tools which the functions make."""
        return replace(self, tools=[*self.tools, *(create(self) for create in creators)])

    def _bounded_source(self, source: ToolSource) -> ToolSource:
        async def bounded(context: TurnContext) -> Sequence[Tool]:
            return [self._bounded(tool) for tool in await source(context)]

        return bounded

    def _bounded(self, tool: Tool) -> Tool:
        """Return the tool with a timeout, if it has none of its own, and typed results as JSON."""
        if not isinstance(tool, FunctionTool):
            return tool
        bounded, invoke = copy(tool), tool.on_invoke_tool

        async def invoke_awaited(ctx: ToolContext[TurnContext], arguments: str) -> Any:
            return result_for_model(ctx, await invoke(ctx, arguments))

        bounded.on_invoke_tool = invoke_awaited
        if tool.timeout_seconds is None:
            bounded.timeout_seconds = self.tool_timeout_seconds
        return bounded


ToolCreator = Callable[[AgentFactory], FunctionTool]


def _unheard(event: AgentToolStreamEvent) -> None:
    """Only what the tool answers counts."""


def _ends_run(
    ctx: RunContextWrapper[TurnContext], results: list[FunctionToolResult]
) -> ToolsToFinalOutputResult:
    """End the run where the user, or the front end, has to answer first."""
    return ToolsToFinalOutputResult(is_final_output=ctx.context.ends_run)


AgentCreator = Callable[[AgentFactory], Agent[TurnContext]]
DEFAULT_INSTRUCTIONS = "You are a helpful assistant. Answer briefly and exactly."
DESCRIPTION = "answers whatever is not one of the others' own"


def assistant_creator(instructions: Instructions | None) -> AgentCreator:
    """Return the function that makes the agent named Assistant, which has every tool."""
    briefed = brief(DEFAULT_INSTRUCTIONS if instructions is None else instructions)
    return lambda factory: factory.agent("Assistant", briefed, handoff_description=DESCRIPTION)


def create_team(
    factory: AgentFactory, create_assistant: AgentCreator, specialists: Sequence[AgentCreator] = ()
) -> dict[str, Agent[TurnContext]]:
    """Return the agents by name, the assistant first. Each specialist can hand back to it."""
    assistant = create_assistant(factory)
    team = [specialist(factory) for specialist in specialists]
    assistant.handoffs = [*assistant.handoffs, *team]
    for member in team:
        member.handoffs = [*member.handoffs, assistant]
    return {agent.name: agent for agent in (assistant, *team)}
