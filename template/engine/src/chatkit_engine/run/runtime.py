"""What every turn shares: the agents, their model, and what they may use."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agents import Agent, FunctionTool, Model, RunConfig
from chatkit.types import InferenceOptions, UserMessageInput, UserMessageItem

from chatkit_engine.assistant.actions import Actions
from chatkit_engine.assistant.attachments import Attachments
from chatkit_engine.assistant.client_tools import ClientTools
from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.entities import EntityLookup
from chatkit_engine.assistant.failures import format_tool_error
from chatkit_engine.assistant.guardrails import Guardrails
from chatkit_engine.errors import BadRequest, ContentTooLarge
from chatkit_engine.i18n import _
from chatkit_engine.models.registry import Transcribe
from chatkit_engine.run.conversion import Converter
from chatkit_engine.run.history import History, HistoryPolicy
from chatkit_engine.run.images import Images
from chatkit_engine.run.titles import Titles
from chatkit_engine.run.usage import Meter
from chatkit_engine.store.database import Database

AGENT = "agent"


@dataclass(frozen=True)
class Runtime:
    """The agents by name, the first of which takes new threads, and what they share.

    `models` are the models that a request may choose, by name. `image_domains` are those that
    images in new threads may come from; `None` leaves it to ChatKit.
    """

    agents: Mapping[str, Agent[TurnContext]]
    database: Database
    converter: Converter
    history: History
    history_policy: HistoryPolicy
    meter: Meter
    images: Images
    titles: Titles | None = None
    attachments: Attachments | None = None
    actions: Actions = field(default_factory=Actions)
    client_tools: ClientTools = field(default_factory=ClientTools)
    entities: EntityLookup = field(default_factory=EntityLookup)
    guardrails: Guardrails = field(default_factory=Guardrails)
    models: Mapping[str, Model] = field(default_factory=dict[str, Model])
    transcribe: Transcribe | None = None
    image_domains: list[str] | None = None
    max_model_calls: int = 10
    max_handoffs: int = 4

    def agent_of(
        self, metadata: Mapping[str, Any], options: InferenceOptions
    ) -> Agent[TurnContext]:
        """Return the agent that answers: the one that the thread was handed to last.

        A message that chooses a tool is answered by the first one, which has every tool.
        """
        entry = next(iter(self.agents.values()))
        if options.tool_choice is None:
            return self.agents.get(str(metadata.get(AGENT)), entry)
        settings = replace(entry.model_settings, tool_choice=options.tool_choice.id)
        return entry.clone(model_settings=settings)

    def check(self, message: UserMessageInput) -> None:
        """Check what a message says and asks for.

        Raises:
            ContentTooLarge: it is longer than what the model is given at a time.
            BadRequest: it chooses a model or a tool that may not be chosen.
        """
        self.check_length(message_text(message))
        options, tools = message.inference_options, self._tools()
        if options.model and options.model not in self.models:
            names = ", ".join(self.models)
            raise BadRequest(_("This model cannot be chosen. Choose one of: {names}.", names=names))
        if options.tool_choice and options.tool_choice.id not in tools:
            names = ", ".join(tools)
            raise BadRequest(_("This tool cannot be chosen. Choose one of: {names}.", names=names))

    def check_length(self, text: str) -> None:
        """Raise `ContentTooLarge` for more than what the model is given at a time."""
        if not self.history.fits(text):
            raise ContentTooLarge(_("The message is too long for the model. Send it in parts."))

    def run_config(self, options: InferenceOptions) -> RunConfig:
        """Return how one request is run. A model that may not be chosen any more is left aside."""
        return RunConfig(
            model=self.models.get(options.model or ""),
            input_guardrails=list(self.guardrails.input),
            output_guardrails=list(self.guardrails.output),
            tool_error_formatter=format_tool_error,
            tool_not_found_behavior="return_error_to_model",
            tool_name_collision_policy="error",
        )

    def _tools(self) -> list[str]:
        entry = next(iter(self.agents.values()))
        return [tool.name for tool in entry.tools if isinstance(tool, FunctionTool)]


def message_text(message: UserMessageInput | UserMessageItem) -> str:
    """Return a message's text, and what it quotes."""
    text = "".join(part.text for part in message.content)
    return f"{text}\n{message.quoted_text}" if message.quoted_text else text
