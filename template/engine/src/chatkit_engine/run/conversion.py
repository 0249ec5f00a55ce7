"""Thread items and records as the model reads them."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Self

from agents import TResponseInputItem
from chatkit.agents import ThreadItemConverter
from chatkit.types import (
    AssistantMessageItem,
    Attachment,
    GeneratedImageItem,
    UserMessageContent,
    UserMessageItem,
    UserMessageTagContent,
)
from openai.types.responses import (
    EasyInputMessageParam,
    ResponseFunctionToolCallParam,
    ResponseInputContentParam,
    ResponseInputTextParam,
)
from openai.types.responses.response_input_item_param import FunctionCallOutput, Message

from chatkit_engine.assistant.attachments import Contents
from chatkit_engine.store.items import CallStatus, StoredItem, ToolCall, is_record

GENERATED = "(You generated an image here.)"

NOT_YET: dict[CallStatus, str] = {
    "waiting": "This waits for the user's approval. It was not done yet; do not call it again.",
    "running": "This is being done.",
    "refused": "The user refused. It was not done.",
    "unknown": "It is unknown whether this was done: it was cut off. Never repeat it by yourself.",
}

UNKNOWN = "this is not known here."


class Converter(ThreadItemConverter):
    """ChatKit's converter, with tags as text, and files as they were read for one turn."""

    def __init__(self) -> None:
        self.contents: dict[str, ResponseInputContentParam] = {}
        self.entities: Mapping[str, str] = {}

    def with_attachments(self, contents: Contents) -> Self:
        """Return a converter for one history, which has these attachments and images."""
        converter = copy(self)
        converter.contents = dict(contents)
        return converter

    def with_entities(self, described: Mapping[str, str]) -> Self:
        """Return a converter for one history, whose tags name these entities."""
        converter = copy(self)
        converter.entities = described
        return converter

    async def to_model_input(self, history: Sequence[StoredItem]) -> list[TResponseInputItem]:
        """Return the history as the model's input, a call always with its output."""
        converted: list[TResponseInputItem] = []
        for item in history:
            if isinstance(item, ToolCall):
                converted += _call(item)
            elif not is_record(item):
                converted += await self.to_agent_input([item])
        return converted

    async def user_message_to_input(
        self, item: UserMessageItem, is_last_message: bool = True
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """Give what the user quoted with every message: it is a part of what was said."""
        return await super().user_message_to_input(_told_apart(item), is_last_message=True)

    async def assistant_message_to_input(
        self, item: AssistantMessageItem
    ) -> EasyInputMessageParam | None:
        """Return the message as plain text, which both of the models' wires take; none if empty."""
        text = "\n".join(part.text for part in item.content if part.text)
        return EasyInputMessageParam(role="assistant", content=text) if text else None

    async def attachment_to_message_content(
        self, attachment: Attachment
    ) -> ResponseInputContentParam:
        """Return the content where the attachment is first named; it is not given twice."""
        note = f"(The file {attachment.name!r} is not repeated or not available here.)"
        absent = ResponseInputTextParam(type="input_text", text=note)
        return self.contents.pop(attachment.id, absent)

    async def generated_image_to_input(
        self, item: GeneratedImageItem
    ) -> TResponseInputItem | list[TResponseInputItem] | None:
        """Return the image as it was read for this turn: its address is closed to the provider."""
        image = self.contents.get(item.id)
        if image is None:
            return None
        said = ResponseInputTextParam(type="input_text", text=GENERATED)
        return Message(type="message", role="user", content=[said, image])

    async def tag_to_message_content(self, tag: UserMessageTagContent) -> ResponseInputTextParam:
        """Tell what was looked up as the user, and nothing of the `data` that the client sends."""
        described = self.entities.get(tag.id, UNKNOWN)
        return ResponseInputTextParam(type="input_text", text=f"{tag.text}: {described}")


def _told_apart(item: UserMessageItem) -> UserMessageItem:
    """Return the message with tags of one text numbered: upstream takes those for the same."""
    ids: dict[str, list[str]] = {}
    content: list[UserMessageContent] = []
    for part in item.content:
        if isinstance(part, UserMessageTagContent):
            known = ids.setdefault(part.text, [])
            if part.id not in known:
                known.append(part.id)
            number = known.index(part.id) + 1
            text = f"{part.text} ({number})" if number > 1 else part.text
            content.append(part.model_copy(update={"text": text}))
        else:
            content.append(part)
    return item.model_copy(update={"content": content})


def _call(record: ToolCall) -> list[TResponseInputItem]:
    call = ResponseFunctionToolCallParam(
        type="function_call",
        call_id=record.id,
        name=record.name,
        arguments=record.arguments,
    )
    output = FunctionCallOutput(
        type="function_call_output",
        call_id=record.id,
        output=NOT_YET.get(record.status) or record.output,
    )
    return [call, output]
