"""The private names of the SDKs that the engine relies on, each with the reason.

A private name can change in any release. That is why `pyproject.toml` pins these packages to one
minor version, and why `tests/unit/test_upstream.py` compares every name below, with the
parameters that we rely on, with what is installed. Anything else private must not be used.
"""

from typing import NamedTuple

from agents.exceptions import (
    _mark_error_to_drain_stream_events,  # pyright: ignore[reportPrivateUsage]
)

# `RunResultStreaming` drops the events it still holds when a model fails, unless the error carries
# this mark. We need them, because the text that came before the failure is kept in the thread.
mark_error_to_drain_stream_events = _mark_error_to_drain_stream_events


class PrivateMethod(NamedTuple):
    """A method of an SDK's class (`module:Class`) with its parameters, without `self`."""

    owner: str
    name: str
    parameters: tuple[str, ...]
    why: str


SERVER = "chatkit.server:ChatKitServer"

OVERRIDDEN = (
    PrivateMethod(
        SERVER,
        "_build_user_message_item",
        ("input", "thread", "context"),
        "The message is built and stored before the stream begins: reuse it, do not build another.",
    ),
    PrivateMethod(
        SERVER,
        "_get_attachment_store",
        (),
        "Without attachments the SDK raises RuntimeError (500). We answer 400.",
    ),
    PrivateMethod(
        SERVER,
        "_serialize",
        ("obj",),
        "The only place that every JSON answer passes: files get their signed links here.",
    ),
    PrivateMethod(
        "agents.models.openai_chatcompletions:OpenAIChatCompletionsModel",
        "_fetch_response",
        ("system_instructions", "input", "model_settings"),
        "Adjust the settings to the provider, and detect a stream that broke off.",
    ),
    PrivateMethod(
        "agents.models.openai_responses:OpenAIResponsesModel",
        "_fetch_response",
        ("system_instructions", "input", "model_settings"),
        "Send requests that do not refer to items stored at OpenAI.",
    ),
    PrivateMethod(
        "openai:AsyncOpenAI",
        "_process_response_data",
        ("data", "cast_to", "response"),
        "Parse an event as the type that it names. The client tries some fifty types in turn.",
    ),
    PrivateMethod(
        "openai:AsyncOpenAI",
        "_make_sse_decoder",
        (),
        "Drop events without data. The client parses them as JSON, and the answer would end.",
    ),
)

CALLED = (
    PrivateMethod(
        SERVER,
        "_process_streaming_impl",
        ("request", "context"),
        "The public `process` parses the request again and returns bytes. We need the events.",
    ),
    PrivateMethod(
        SERVER,
        "_process_non_streaming",
        ("request", "context"),
        "The public `process` parses the request again.",
    ),
    PrivateMethod(
        SERVER,
        "_process_new_thread_item_respond",
        ("thread", "item", "context"),
        "Answer a message in a thread that we created in the turn's first transaction.",
    ),
    PrivateMethod(
        SERVER,
        "_process_events",
        ("thread", "context", "stream"),
        "Answer a stored message again, for a request that is repeated after an interruption.",
    ),
    PrivateMethod(
        SERVER,
        "_to_thread_response",
        ("thread",),
        "Show a thread the way the SDK does.",
    ),
)


class PrivateAttribute(NamedTuple):
    """A private attribute of an SDK's pydantic model (`module:Class`)."""

    owner: str
    name: str
    why: str


ATTRIBUTES = (
    PrivateAttribute(
        "chatkit.agents:AgentContext",
        "_events",
        "Read the events of a widget's action, which runs without the SDK's stream converter.",
    ),
)
