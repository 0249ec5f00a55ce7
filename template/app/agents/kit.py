"""What an agent is made of: the model, the tools, and how a run ends."""

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Self

from agents import (
    Agent,
    AgentToolStreamEvent,
    FunctionTool,
    FunctionToolResult,
    RunContextWrapper,
    Tool,
    ToolOutputFileContent,
    ToolOutputImage,
    ToolOutputText,
    ToolsToFinalOutputResult,
)
from agents.tool_context import ToolContext
from pydantic import BaseModel

from app.agents.agent import AssistantAgent, ToolSource
from app.chat.calls import tellable
from app.chat.context import AssistantContext
from app.chat.failures import tool_failed
from app.providers import ChatModel

Instructions = Callable[[RunContextWrapper[AssistantContext], Agent[AssistantContext]], str]


@dataclass(frozen=True)
class AgentKit:
    """Makes agents. `tools` are those of `app/tools` and of the features.

    A tool that has an agent of its own is made by the kit too, by a function `create(kit)`.
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
        instructions: Instructions | str,
        tools: Sequence[Tool] | None = None,
        **more: Any,
    ) -> Agent[AssistantContext]:
        """Return an agent; without `tools` it has all of the kit's, and those of its sources."""
        given = self.tools if tools is None else tools
        sources = self.tool_sources if tools is None else ()
        parallel = self.parallel_tool_calls if sources else None
        return AssistantAgent(
            name=name,
            instructions=instructions,
            model=self.model.model,
            model_settings=replace(self.model.settings, parallel_tool_calls=parallel),
            tools=[self._bounded(tool) for tool in given],
            tool_sources=[self._bounded_source(source) for source in sources],
            tool_use_behavior=_ends_run,
            **more,
        )

    def agent_tool(
        self, agent: Agent[AssistantContext], name: str, description: str
    ) -> FunctionTool:
        """Return the agent as a tool: it answers the agent that calls it, in the same context.

        Its run is streamed, since a model's timeout is meant for a pause, not for a whole answer.
        """
        return agent.as_tool(
            name, description, on_stream=_unheard, failure_error_function=tool_failed
        )

    def with_tools(self, creators: "Iterable[ToolCreator]") -> Self:
        """Return a kit that also has the tools which the functions make."""
        return replace(self, tools=[*self.tools, *(create(self) for create in creators)])

    def _bounded_source(self, source: ToolSource) -> ToolSource:
        async def bounded() -> Sequence[Tool]:
            return [self._bounded(tool) for tool in await source()]

        return bounded

    def _bounded(self, tool: Tool) -> Tool:
        """Return the tool with a timeout, if it has none of its own, and typed results as JSON."""
        if not isinstance(tool, FunctionTool):
            return tool
        bounded, invoke = copy(tool), tool.on_invoke_tool

        async def invoke_awaited(ctx: ToolContext[AssistantContext], arguments: str) -> Any:
            return _told(ctx, await invoke(ctx, arguments))

        bounded.on_invoke_tool = invoke_awaited
        if tool.timeout_seconds is None:
            bounded.timeout_seconds = self.tool_timeout_seconds
        return bounded


ToolCreator = Callable[[AgentKit], FunctionTool]


CONTENT = ToolOutputText | ToolOutputImage | ToolOutputFileContent


def _told(ctx: ToolContext[AssistantContext], output: Any) -> Any:
    """Return what the model is given: bounded text; a typed result as JSON, remembered too."""
    if isinstance(output, str):
        return tellable(output)
    if not isinstance(output, BaseModel) or isinstance(output, CONTENT):
        return output
    ctx.context.results[ctx.tool_call_id] = output.model_dump(mode="json")
    return output.model_dump_json()


def _unheard(event: AgentToolStreamEvent) -> None:
    """Only what the tool answers counts."""


def _ends_run(
    ctx: RunContextWrapper[AssistantContext], results: list[FunctionToolResult]
) -> ToolsToFinalOutputResult:
    """End the run where the user, or the front end, has to answer first."""
    return ToolsToFinalOutputResult(is_final_output=ctx.context.ends_run)
