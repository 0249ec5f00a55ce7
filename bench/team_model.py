"""The turn of several agents as the fake model plays it: a handoff, two tools, then the answer.

What a request has tells what comes next. What the server made of each call is counted, so that the
run can end with an error where a turn was not what it was meant to be.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

from answer import read_order
from wire import HEAD, ID, LAST_CHUNK, Events

REQUESTS = "requests"

Items = list[dict[str, Any]]


@dataclass(frozen=True)
class Call:
    """A call, and the output by which it is known to have worked."""

    name: str
    arguments: str
    output: re.Pattern[str]

    @property
    def id(self) -> str:
        return f"call_{self.name}_{ID}"


CALLS = (
    Call("transfer_to_writer", "{}", re.compile(r'\{"assistant": ?"Writer"\}')),
    Call("current_time", "{}", re.compile(r".+, \d\d:\d\d \(.+\)")),
    Call(
        "search_threads",
        '{"query": "words"}',
        re.compile(r"Nothing was found.*|- \[1\] .+", re.DOTALL),
    ),
)


class TeamModel:
    """Says which call comes next, and counts the calls that worked."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def next_call(self, items: Items) -> Call | None:
        """Return the call that the request is answered with, or `None`: it is time to answer."""
        outputs = _outputs(items)
        self.seen[REQUESTS] += 1
        if len(outputs) < len(CALLS):
            return CALLS[len(outputs)]
        for call, output in zip(CALLS, outputs, strict=True):
            self.seen[call.name] += call.output.fullmatch(output) is not None
        return None


def read_team_order(items: Items) -> tuple[int, int]:
    """Return the words and the pace that the user asks for; what a tool found may say others."""
    said = [item for item in items if item.get("role") == "user"]
    return read_order(str(said[-1]))


def expected(turns: int) -> dict[str, int]:
    """Return what is seen in so many turns."""
    return {REQUESTS: turns * (len(CALLS) + 1), **{call.name: turns for call in CALLS}}


@cache
def call_script(call: Call) -> bytes:
    """Return the bytes of a response that makes one call."""
    events, place = Events(), {"item_id": f"fc_{ID}", "output_index": 0}
    done = _item(call, "completed", call.arguments)
    kind = "response.function_call_arguments"
    return b"".join(
        [
            HEAD,
            events.created(),
            events.in_progress(),
            events.event(
                "response.output_item.added", output_index=0, item=_item(call, "in_progress", "")
            ),
            events.event(f"{kind}.delta", **place, delta=call.arguments),
            events.event(f"{kind}.done", **place, name=call.name, arguments=call.arguments),
            events.event("response.output_item.done", output_index=0, item=done),
            events.completed(done),
            LAST_CHUNK,
        ]
    )


def _item(call: Call, status: str, arguments: str) -> dict[str, Any]:
    return {
        "id": f"fc_{ID}",
        "type": "function_call",
        "status": status,
        "call_id": call.id,
        "name": call.name,
        "arguments": arguments,
    }


def _outputs(items: Items) -> list[str]:
    return [str(item["output"]) for item in items if item.get("type") == "function_call_output"]
