"""What every turn shares: the agents, their model, and what they may use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents import Agent, FunctionTool, InputGuardrail, Model, OutputGuardrail, RunConfig
from chatkit.types import InferenceOptions, UserMessageInput, UserMessageItem

from app.chat.actions import Actions
from app.chat.attachments import Attachments
from app.chat.client_tools import ClientTools
from app.chat.context import AssistantContext
from app.chat.converter import Converter
from app.chat.entities import EntityLookup
from app.chat.failures import for_the_model
from app.chat.history import History
from app.errors import BadRequest, ContentTooLarge
from app.store.engine import Database

AGENT = "agent"


@dataclass(frozen=True)
class Guardrails:
    """What is checked before the model is asked, and before its answer counts."""

    input: Sequence[InputGuardrail[AssistantContext]] = ()
    output: Sequence[OutputGuardrail[AssistantContext]] = ()


@dataclass(frozen=True)
class Assistant:
    """The agents by name, the first of which takes new threads, and what they share.

    `models` are the models that a request may choose, by name.
    """

    agents: Mapping[str, Agent[AssistantContext]]
    database: Database
    converter: Converter
    history: History
    attachments: Attachments | None = None
    actions: Actions = field(default_factory=Actions)
    client_tools: ClientTools = field(default_factory=ClientTools)
    entities: EntityLookup = field(default_factory=EntityLookup)
    guardrails: Guardrails = field(default_factory=Guardrails)
    models: Mapping[str, Model] = field(default_factory=dict[str, Model])

    def agent_of(self, metadata: Mapping[str, Any]) -> Agent[AssistantContext]:
        """Return the agent that a thread was handed to last."""
        entry = next(iter(self.agents.values()))
        return self.agents.get(str(metadata.get(AGENT)), entry)

    def check(self, message: UserMessageInput) -> None:
        """Check what a message says and asks for.

        Raises:
            ContentTooLarge: it is longer than what the model is given at a time.
            BadRequest: it chooses a model or a tool that may not be chosen.
        """
        if not self.history.fits(said(message)):
            raise ContentTooLarge("The message is too long for the model. Send it in parts.")
        options = message.inference_options
        if options.model and options.model not in self.models:
            raise BadRequest(f"This model cannot be chosen here: {_named(self.models)}.")
        tools = self._tools()
        if options.tool_choice and options.tool_choice.id not in tools:
            raise BadRequest(f"This tool cannot be chosen here: {_named(tools)}.")

    def run_config(self, options: InferenceOptions) -> RunConfig:
        """Return how one request is run. A model that may not be chosen any more is left aside."""
        return RunConfig(
            model=self.models.get(options.model or ""),
            input_guardrails=list(self.guardrails.input),
            output_guardrails=list(self.guardrails.output),
            tool_error_formatter=for_the_model,
            tool_not_found_behavior="return_error_to_model",
            tool_name_collision_policy="error",
        )

    def _tools(self) -> list[str]:
        entry = next(iter(self.agents.values()))
        return [tool.name for tool in entry.tools if isinstance(tool, FunctionTool)]


def said(message: UserMessageInput | UserMessageItem) -> str:
    """Return a message's text."""
    return "".join(part.text for part in message.content)


def _named(names: Mapping[str, object] | Sequence[str]) -> str:
    return f"choose one of {', '.join(names)}" if names else "there is nothing to choose from"
