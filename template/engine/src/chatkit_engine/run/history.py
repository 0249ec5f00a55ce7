"""Selects what the model reads of a thread: the newest complete turns that fit a token budget.

Tokens are estimated from bytes, without a tokenizer, because each model has its own. The usage that
the API reports for each request corrects the estimate.
"""

from collections.abc import AsyncIterator, Sequence
from math import inf
from typing import Any, Protocol, cast

from agents import Agent, FunctionTool, TResponseInputItem
from agents.run_config import ModelInputData
from chatkit.types import (
    ClientToolCallItem,
    GeneratedImageItem,
    UserMessageItem,
    UserMessageTagContent,
)
from pydantic_core import to_json

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.store.items import Blocked, StoredItem, ToolCall, encode_item, item_text

MAX_BYTES_PER_TOKEN = 4.0
MIN_BYTES_PER_TOKEN = 1.0
# A guess for an image or a file, whose bytes say nothing about its tokens.
ATTACHMENT_TOKENS = 1_500
# The weight of the newest request in the moving average.
WEIGHT = 0.2
MIN_LEARNED_BYTES = 2_000
# What each item adds to a request, whatever it contains.
ITEM_TOKENS = 4
# An output of so few tokens is never omitted: the note in its place would be as long.
SMALL_OUTPUT = 50
OMITTED = "This output was omitted because of its length. Call the tool again, and ask for less."
FILES = (b'"input_image"', b'"input_file"', b'"image_generation_call"')


class TokenEstimator:
    """Estimates the tokens of a text from its bytes, and learns from the usage that is reported.

    It starts with four bytes per token, as in plain English. Other languages have fewer.
    """

    def __init__(self) -> None:
        self._bytes_per_token = MAX_BYTES_PER_TOKEN

    def tokens(self, size: int) -> int:
        """Return the estimated number of tokens of `size` bytes."""
        return round(size / self._bytes_per_token)

    def learn(self, size: int, tokens: int) -> None:
        """Adjust the estimate: `size` bytes were `tokens` tokens. Short requests are ignored."""
        if size >= MIN_LEARNED_BYTES and tokens > 0:
            observed = min(MAX_BYTES_PER_TOKEN, max(MIN_BYTES_PER_TOKEN, size / tokens))
            self._bytes_per_token += WEIGHT * (observed - self._bytes_per_token)


class HistoryPolicy(Protocol):
    """Chooses what the model reads of a thread."""

    async def select(
        self, turns: AsyncIterator[Sequence[StoredItem]], context: TurnContext
    ) -> list[StoredItem]:
        """Return the items that the model reads, oldest first.

        `turns` come newest first, each with its items oldest first. The first one has the message
        to answer. Messages that a guardrail refused are not in them.
        """
        ...


class History:
    """Selects the newest turns that fit into `max_tokens`."""

    def __init__(self, max_tokens: int, estimator: TokenEstimator | None = None) -> None:
        self._max_tokens = max_tokens
        self.estimator = estimator or TokenEstimator()

    def fits(self, text: str) -> bool:
        """Return whether a message with this text fits into the budget."""
        return self.estimator.tokens(len(text.encode())) <= self._max_tokens

    async def select(
        self, turns: AsyncIterator[Sequence[StoredItem]], context: TurnContext | None = None
    ) -> list[StoredItem]:
        """Return the newest turns that fit, oldest first.

        The newest turn is always included: its message, and the newest of its other items.
        """
        selected: list[StoredItem] = []
        remaining = self._max_tokens
        async for turn in turns:
            tokens = sum(map(self._item_tokens, turn))
            if selected and tokens > remaining:
                break
            selected[:0] = turn if tokens <= remaining else self._newest(turn)
            remaining -= tokens
        return selected

    def _newest(self, turn: Sequence[StoredItem]) -> list[StoredItem]:
        """Return the message of a turn and the newest items that fit, at least one.

        A call counts without its output, which `limit_outputs` omits if it is too long.
        """
        message = [item for item in turn[:1] if isinstance(item, UserMessageItem)]
        others = turn[len(message) :]
        remaining = self._max_tokens - sum(map(self._item_tokens, message))
        first = len(others)
        for item in reversed(others):
            remaining -= self._request_tokens(item)
            if remaining < 0 and first < len(others):
                break
            first -= 1
        return [*message, *others[first:]]

    def _request_tokens(self, item: StoredItem) -> int:
        if isinstance(item, ToolCall | ClientToolCallItem):
            arguments = str(item.arguments).encode()
            return ITEM_TOKENS + SMALL_OUTPUT + self.estimator.tokens(len(arguments))
        return self._item_tokens(item)

    def limit_outputs(self, items: Sequence[TResponseInputItem]) -> list[TResponseInputItem]:
        """Return a request's items with only the newest tool outputs that fit the budget.

        This is needed because one turn may call many tools. The last output is always included.
        """
        limited: list[TResponseInputItem] = []
        remaining: float = inf
        for item in reversed(items):
            tokens = self._output_tokens(item)
            if tokens > max(remaining, SMALL_OUTPUT):
                limited.append(cast(TResponseInputItem, {**item, "output": OMITTED}))
            else:
                limited.append(item)
                remaining = min(remaining, self._max_tokens) - tokens if tokens else remaining
        return limited[::-1]

    def _output_tokens(self, item: TResponseInputItem) -> int:
        """Return the tokens of a tool output, and 0 for any other item."""
        if item.get("type") != "function_call_output":
            return 0
        output = item.get("output")
        is_text = isinstance(output, str)
        return self.estimator.tokens(len(output.encode())) if is_text else ATTACHMENT_TOKENS

    def _item_tokens(self, item: StoredItem) -> int:
        text = item_text(item) or encode_item(item)
        tokens = ITEM_TOKENS + self.estimator.tokens(len(text.encode()))
        if isinstance(item, UserMessageItem):
            # The text of a tag is part of the message's text already.
            tags = [part.data for part in item.content if isinstance(part, UserMessageTagContent)]
            more = len((item.quoted_text or "").encode()) + (len(to_json(tags)) if tags else 0)
            return tokens + self.estimator.tokens(more) + ATTACHMENT_TOKENS * len(item.attachments)
        if isinstance(item, GeneratedImageItem):
            return tokens + ATTACHMENT_TOKENS
        return tokens


def request_size(data: ModelInputData, agent: Agent[Any]) -> int:
    """Return the bytes of a request with its tools. 0 if it has files, which are not text."""
    tools = [tool for tool in agent.tools if isinstance(tool, FunctionTool)]
    schemas = [(tool.name, tool.description, tool.params_json_schema) for tool in tools]
    body = to_json([data.instructions, data.input, schemas])
    return 0 if any(kind in body for kind in FILES) else len(body)


def _without_blocked(turn: Sequence[StoredItem]) -> Sequence[StoredItem]:
    """Return what follows the refusal, which is stored next to the `Blocked` record."""
    blocked = [index for index, item in enumerate(turn) if isinstance(item, Blocked)]
    # The record and the refusal are two items.
    return turn[blocked[-1] + 2 :] if blocked else turn


async def turns_of(
    newest_first: AsyncIterator[StoredItem],
) -> AsyncIterator[Sequence[StoredItem]]:
    """Yield each turn's items, oldest first. A turn begins with the user's message.

    A message that a guardrail refused is left out, with everything up to the refusal.
    """
    turn: list[StoredItem] = []
    async for item in newest_first:
        turn.insert(0, item)
        if isinstance(item, UserMessageItem):
            yield _without_blocked(turn)
            turn = []
    if turn:
        yield _without_blocked(turn)
