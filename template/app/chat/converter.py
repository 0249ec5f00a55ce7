"""Thread items as the model reads them."""

from copy import copy
from typing import Self

from chatkit.agents import ThreadItemConverter
from chatkit.types import AssistantMessageItem, Attachment, UserMessageTagContent
from openai.types.responses import (
    EasyInputMessageParam,
    ResponseInputContentParam,
    ResponseInputTextParam,
)
from pydantic_core import to_json

from app.chat.attachments import Contents


class Converter(ThreadItemConverter):
    """ChatKit's converter, with tags as text, and attachments as they were read for one turn."""

    def __init__(self) -> None:
        self.contents: dict[str, ResponseInputContentParam] = {}

    def with_attachments(self, contents: Contents) -> Self:
        """Return a converter for one history, which has these attachments."""
        converter = copy(self)
        converter.contents = dict(contents)
        return converter

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

    async def tag_to_message_content(self, tag: UserMessageTagContent) -> ResponseInputTextParam:
        data = to_json(tag.data).decode()
        return ResponseInputTextParam(type="input_text", text=f"@{tag.text} (id {tag.id}): {data}")
