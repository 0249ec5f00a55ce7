"""What all turns share: the agents, their models, and the services that a turn uses."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agents import Agent, FunctionTool, Model, RunConfig
from chatkit.types import AudioInput, InferenceOptions, UserMessageInput, UserMessageItem

from chatkit_engine.assistant.actions import Actions
from chatkit_engine.assistant.attachments import Attachments
from chatkit_engine.assistant.client_tools import ClientTools
from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.entities import EntityLookup
from chatkit_engine.assistant.failures import format_tool_error
from chatkit_engine.assistant.guardrails import Guardrails
from chatkit_engine.errors import BadRequest, ContentTooLarge, UnsupportedMediaType
from chatkit_engine.i18n import _
from chatkit_engine.models.registry import Transcribe
from chatkit_engine.run.conversion import Converter
from chatkit_engine.run.history import History, HistoryPolicy
from chatkit_engine.run.images import Images
from chatkit_engine.run.titles import Titles
from chatkit_engine.run.usage import Meter
from chatkit_engine.store.database import Database

# The key of a thread's metadata with the name of the agent that it was handed to.
AGENT = "agent"
AUDIO_TYPES = ("audio/webm", "audio/ogg", "audio/mp4", "audio/wav", "audio/mpeg")


@dataclass(frozen=True)
class Runtime:
    """The agents by name, the first of which answers in new threads, and what they share.

    `models` are the models that a message may choose, by name. `image_domains` are the domains
    whose images ChatKit.js may show in new threads; `None` keeps ChatKit's own default.
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
    max_user_storage_bytes: int | None = None

    @property
    def entry_agent(self) -> Agent[TurnContext]:
        """The agent that answers in new threads."""
        return next(iter(self.agents.values()))

    def select_agent(
        self, metadata: Mapping[str, Any], options: InferenceOptions
    ) -> Agent[TurnContext]:
        """Return the agent that answers: the one that the thread was handed to last.

        If the message chooses a tool, the entry agent answers, because it has every tool.
        """
        entry = self.entry_agent
        if options.tool_choice is None:
            # The agent may have been removed since: then the entry agent takes over.
            return self.agents.get(str(metadata.get(AGENT)), entry)
        settings = replace(entry.model_settings, tool_choice=options.tool_choice.id)
        return entry.clone(model_settings=settings)

    def run_config(self, options: InferenceOptions) -> RunConfig:
        """Return the SDK's settings of a run. A model that was removed since is ignored."""
        return RunConfig(
            model=self.models.get(options.model or ""),
            input_guardrails=list(self.guardrails.input),
            output_guardrails=list(self.guardrails.output),
            tool_error_formatter=format_tool_error,
            # The SDK would end the run. Models do invent tools, and recover when told so.
            tool_not_found_behavior="return_error_to_model",
            tool_name_collision_policy="error",
        )

    def check_message(self, message: UserMessageInput) -> None:
        """Check a new message's length and options.

        Raises:
            ContentTooLarge: it is longer than the model's input may be.
            BadRequest: it chooses a model or a tool that is not available.
        """
        self.check_length(message_text(message))
        options = message.inference_options
        if options.model and options.model not in self.models:
            names = ", ".join(self.models)
            raise BadRequest(_("This model is not available. Choose one of: {names}.", names=names))
        tools = [tool.name for tool in self.entry_agent.tools if isinstance(tool, FunctionTool)]
        if options.tool_choice and options.tool_choice.id not in tools:
            names = ", ".join(tools)
            raise BadRequest(_("This tool is not available. Choose one of: {names}.", names=names))

    def check_length(self, text: str) -> None:
        """Raise `ContentTooLarge` if the text is longer than the model's input may be."""
        if not self.history.fits(text):
            raise ContentTooLarge(_("The message is too long for the model. Send it in parts."))

    async def transcribe_audio(self, audio: AudioInput) -> str:
        """Return the text of a recording.

        Raises:
            BadRequest: the recording is empty, or the provider has no speech recognition.
            UnsupportedMediaType: it is of another type than `AUDIO_TYPES`.
            ModelBusy, ModelFailed: the provider did not answer, or not with a text.
        """
        media_type = audio.media_type.strip().lower()
        if self.transcribe is None:
            raise BadRequest(_("This assistant does not transcribe speech."))
        if media_type not in AUDIO_TYPES:
            types = ", ".join(AUDIO_TYPES)
            raise UnsupportedMediaType(
                _("Unsupported audio type. Send one of: {types}.", types=types)
            )
        if not audio.data:
            raise BadRequest(_("The recording is empty."))
        return await self.transcribe(audio.data, media_type)


def message_text(message: UserMessageInput | UserMessageItem) -> str:
    """Return a message's text, followed by the text that it quotes."""
    text = "".join(part.text for part in message.content)
    return f"{text}\n{message.quoted_text}" if message.quoted_text else text
