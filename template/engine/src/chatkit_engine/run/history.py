"""What the model is given of the thread: whole turns, the newest first, within a budget of tokens.

Tokens are estimated by bytes. What the API reports of each request corrects the estimate, since
languages and models differ; no vocabulary is loaded.
"""

from collections.abc import AsyncIterator, Sequence
from math import inf
from typing import Any, Protocol, cast

from agents import Agent, FunctionTool, TResponseInputItem
from agents.run_config import ModelInputData
from chatkit.types import GeneratedImageItem, UserMessageItem
from pydantic_core import to_json

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.store.items import Blocked, StoredItem, encode_item, item_text

MOST_BYTES_PER_TOKEN = 4.0
LEAST_BYTES_PER_TOKEN = 1.0
ATTACHMENT_TOKENS = 1_500
WEIGHT = 0.2
LEARNABLE_BYTES = 2_000

# Tokens: an output as short as the words that would take its place stays.
SMALL = 50
LEFT_OUT = "This output is left out for its length. Call the tool again, for less."
FILES = (b'"input_image"', b'"input_file"', b'"image_generation_call"')


class Estimator:
    """Estimates tokens by bytes, and learns from what was reported.

    It begins with the most bytes that a token has in plain English, and never assumes more: too
    little history is better than too much.
    """

    def __init__(self) -> None:
        self._bytes_per_token = MOST_BYTES_PER_TOKEN

    def tokens(self, size: int) -> int:
        """Return how many tokens so many bytes are likely to be."""
        return round(size / self._bytes_per_token)

    def learn(self, size: int, tokens: int) -> None:
        """Take into account that so many bytes were so many tokens; few bytes tell nothing."""
        if size >= LEARNABLE_BYTES and tokens > 0:
            seen = min(MOST_BYTES_PER_TOKEN, max(LEAST_BYTES_PER_TOKEN, size / tokens))
            self._bytes_per_token += WEIGHT * (seen - self._bytes_per_token)


class HistoryPolicy(Protocol):
    """Chooses what the model reads of a thread."""

    async def select(
        self, turns: AsyncIterator[Sequence[StoredItem]], context: TurnContext
    ) -> list[StoredItem]:
        """Return the items that the model reads, oldest first.

        `turns` come newest first, each with its items oldest first. The first one has the message
        to answer. What a guardrail blocked is not in them.
        """
        ...


class History:
    """Selects the turns that fit into `max_tokens`."""

    def __init__(self, max_tokens: int, estimator: Estimator | None = None) -> None:
        self._max_tokens = max_tokens
        self.estimator = estimator or Estimator()

    def fits(self, text: str) -> bool:
        """Say whether a message of this text can be answered at all."""
        return self.estimator.tokens(len(text.encode())) <= self._max_tokens

    async def select(
        self, turns: AsyncIterator[Sequence[StoredItem]], context: TurnContext | None = None
    ) -> list[StoredItem]:
        """Return the newest turns that fit, oldest first. The newest is there in any case."""
        selected: list[StoredItem] = []
        left = self._max_tokens
        async for turn in turns:
            size = sum(map(self._size, turn))
            if selected and size > left:
                break
            selected[:0] = turn
            left -= size
        return selected

    def with_newest_outputs(self, items: Sequence[TResponseInputItem]) -> list[TResponseInputItem]:
        """Return a request's items, of the tools' outputs the newest ones that fit.

        One turn may call many tools. The last output is there in any case.
        """
        given: list[TResponseInputItem] = []
        left: float = inf
        for item in reversed(items):
            size = self._size_of_output(item)
            if size > max(left, SMALL):
                given.append(cast(TResponseInputItem, {**item, "output": LEFT_OUT}))
            else:
                given.append(item)
                left = min(left, self._max_tokens) - size if size else left
        return given[::-1]

    def _size_of_output(self, item: TResponseInputItem) -> int:
        """Return the tokens of a tool's output; 0 for anything else."""
        if item.get("type") != "function_call_output":
            return 0
        output = item.get("output")
        is_text = isinstance(output, str)
        return self.estimator.tokens(len(output.encode())) if is_text else ATTACHMENT_TOKENS

    def _size(self, item: StoredItem) -> int:
        text = item_text(item) or encode_item(item)
        size = self.estimator.tokens(len(text.encode()))
        if isinstance(item, UserMessageItem):
            quoted = self.estimator.tokens(len((item.quoted_text or "").encode()))
            return size + quoted + ATTACHMENT_TOKENS * len(item.attachments)
        if isinstance(item, GeneratedImageItem):
            return size + ATTACHMENT_TOKENS
        return size


def request_size(data: ModelInputData, agent: Agent[Any]) -> int:
    """Return the bytes of a request, its tools among them; 0 where it has files beside text."""
    tools = [tool for tool in agent.tools if isinstance(tool, FunctionTool)]
    schemas = [(tool.name, tool.description, tool.params_json_schema) for tool in tools]
    body = to_json([data.instructions, data.input, schemas])
    return 0 if any(kind in body for kind in FILES) else len(body)


def _unblocked(turn: Sequence[StoredItem]) -> Sequence[StoredItem]:
    """Return a turn without what was blocked: all up to the answer that says so."""
    blocked = [place for place, item in enumerate(turn) if isinstance(item, Blocked)]
    return turn[blocked[-1] + 2 :] if blocked else turn


async def turns_of(
    newest_first: AsyncIterator[StoredItem],
) -> AsyncIterator[Sequence[StoredItem]]:
    """Yield the items of each turn, oldest first. A turn begins with the user's message.

    Of a turn that a guardrail stopped there is only what an action did in it later.
    """
    turn: list[StoredItem] = []
    async for item in newest_first:
        turn.insert(0, item)
        if isinstance(item, UserMessageItem):
            yield _unblocked(turn)
            turn = []
    if turn:
        yield _unblocked(turn)
