"""Thread items as the model reads them."""

from chatkit.agents import ThreadItemConverter
from chatkit.types import UserMessageTagContent
from openai.types.responses import ResponseInputTextParam
from pydantic_core import to_json


class Converter(ThreadItemConverter):
    """ChatKit's converter, with tags as text."""

    async def tag_to_message_content(self, tag: UserMessageTagContent) -> ResponseInputTextParam:
        data = to_json(tag.data).decode()
        return ResponseInputTextParam(type="input_text", text=f"@{tag.text} (id {tag.id}): {data}")
