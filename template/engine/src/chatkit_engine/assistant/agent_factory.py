"""Creates the agents: the assistant, the specialists it hands off to, and agents used as tools."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field, fields, replace
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
from chatkit_engine.assistant.trust import TrustHooks, restrict_tools
from chatkit_engine.models.chat_model import ChatModel

DEFAULT_INSTRUCTIONS = "You are a helpful assistant. Answer briefly and exactly."
DESCRIPTION = "answers everything that none of the others covers"
ToolSource = Callable[[TurnContext], Awaitable[Sequence[Tool]]]
"""Returns the tools that this turn has at the moment."""


@dataclass
class ChatAgent(Agent[TurnContext]):
    """An agent that asks its tool sources for further tools before each request to the model."""

    tool_sources: Sequence[ToolSource] = field(default_factory=tuple[ToolSource, ...])

    async def get_all_tools(self, run_context: RunContextWrapper[TurnContext]) -> list[Tool]:
        tools = await super().get_all_tools(run_context)
        for source in self.tool_sources:
            tools += await source(run_context.context)
        # Tested before each request to the model, because a tool of this turn may have read the
        # text.
        return restrict_tools(tools, run_context.context)


@dataclass(frozen=True)
class AgentFactory:
    """Creates agents that share a model, tools and limits.

    `tools` are those of `app/tools` and of the features. `tool_sources` return tools that may
    change while the application runs, for example those of an MCP server. `tool_timeout_seconds`
    limits each call of a tool that sets no timeout of its own.
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
        """Return an agent with these tools. Default: all of the factory's tools and sources."""
        sources = self.tool_sources if tools is None else ()
        # `None` leaves the parameter out, because some servers refuse it.
        parallel = self.parallel_tool_calls if sources else None
        return ChatAgent(
            name=name,
            instructions=instructions,
            model=self.model.model,
            model_settings=replace(self.model.settings, parallel_tool_calls=parallel),
            tools=[self._prepare(tool) for tool in (self.tools if tools is None else tools)],
            tool_sources=[self._prepare_source(source) for source in sources],
            tool_use_behavior=_decide_final_output,
            **more,
        )

    def agent_tool(self, agent: Agent[TurnContext], name: str, description: str) -> FunctionTool:
        """Return the agent as a tool, which runs in the context of the agent that calls it."""
        # With `on_stream` the SDK streams the run. Unstreamed, the model's timeout, which is meant
        # for the pause between two events, would limit the whole answer.
        return agent.as_tool(
            name,
            description,
            hooks=TrustHooks(),
            on_stream=_ignore_event,
            failure_error_function=tool_failed,
        )

    def with_tools(self, creators: "Iterable[ToolCreator]") -> Self:
        """Return a factory that also has the tools that these functions create."""
        return replace(self, tools=[*self.tools, *(create(self) for create in creators)])

    def _prepare_source(self, source: ToolSource) -> ToolSource:
        async def prepared(context: TurnContext) -> Sequence[Tool]:
            return [self._prepare(tool) for tool in await source(context)]

        return prepared

    def _prepare(self, tool: Tool) -> Tool:
        """Return the tool with the default timeout, and with its result converted for the model."""
        if not isinstance(tool, FunctionTool):
            return tool
        # A copy, because other agents share the tool.
        prepared, invoke = copy(tool), tool.on_invoke_tool

        async def invoke_and_convert(ctx: ToolContext[TurnContext], arguments: str) -> Any:
            # What explains wrong arguments to the model does not get the tool.
            ctx.context.tool_schemas[ctx.tool_name] = tool.params_json_schema
            return result_for_model(ctx, await invoke(ctx, arguments))

        prepared.on_invoke_tool = invoke_and_convert
        if tool.timeout_seconds is None:
            prepared.timeout_seconds = self.tool_timeout_seconds
        return prepared


AgentCreator = Callable[[AgentFactory], Agent[TurnContext]]
ToolCreator = Callable[[AgentFactory], FunctionTool]


def assistant_creator(instructions: Instructions | None) -> AgentCreator:
    """Return the function that creates the agent named Assistant, which has every tool."""
    briefed = brief(DEFAULT_INSTRUCTIONS if instructions is None else instructions)
    return lambda factory: factory.agent("Assistant", briefed, handoff_description=DESCRIPTION)


def create_team(
    factory: AgentFactory, create_assistant: AgentCreator, specialists: Sequence[AgentCreator] = ()
) -> dict[str, Agent[TurnContext]]:
    """Return the agents by name, the assistant first. Each specialist can hand back to it."""
    assistant = _chat_agent(create_assistant(factory))
    team = [_chat_agent(specialist(factory)) for specialist in specialists]
    assistant.handoffs = [*assistant.handoffs, *team]
    for member in team:
        member.handoffs = [*member.handoffs, assistant]
    return {agent.name: agent for agent in (assistant, *team)}


def _chat_agent(agent: Agent[TurnContext]) -> Agent[TurnContext]:
    """Return an agent whose tools are restricted, also if the factory has not created it."""
    if type(agent) is not Agent:
        return agent
    return ChatAgent(**{each.name: getattr(agent, each.name) for each in fields(agent)})


def _decide_final_output(
    ctx: RunContextWrapper[TurnContext], results: list[FunctionToolResult]
) -> ToolsToFinalOutputResult:
    """End the run if the user or the front end has to answer first, or if the turn failed."""
    return ToolsToFinalOutputResult(is_final_output=ctx.context.ends_run)


def _ignore_event(event: AgentToolStreamEvent) -> None:
    """Do nothing: the tool's output is all that counts."""
