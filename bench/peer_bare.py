"""The physical limit: a bare Starlette response that writes a turn's events and does nothing else.

No model, no store, no parsing: the load's own ceiling. `uvicorn peer_bare:app`.
"""

import asyncio
import time
from collections.abc import AsyncIterator

from answer import clock, middle, read_order
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

ITEM_ID = "msg_" + "0" * 32


async def turn(words: int, pace: int) -> AsyncIterator[bytes]:
    began, began_ns = time.monotonic(), time.monotonic_ns()
    texts: list[str] = []
    yield _event({"type": "thread.created", "thread": {"id": "thr_0"}})
    for number, word in enumerate([None, *middle(words), None], 1):
        await asyncio.sleep(max(0.0, began + number / pace - time.monotonic()))
        texts.append(word or clock(time.monotonic_ns() - began_ns))
        yield _delta(texts[-1])
    content = [{"type": "output_text", "text": "".join(texts), "annotations": []}]
    item = {"id": ITEM_ID, "type": "assistant_message", "content": content}
    yield _event({"type": "thread.item.done", "item": item})


def _delta(text: str) -> bytes:
    update = {
        "type": "assistant_message.content_part.text_delta",
        "content_index": 0,
        "delta": text,
    }
    return _event({"type": "thread.item.updated", "item_id": ITEM_ID, "update": update})


def _event(event: object) -> bytes:
    return b"data: " + to_json(event) + b"\n\n"


async def chatkit(request: Request) -> StreamingResponse:
    words, pace = read_order((await request.body()).decode())
    return StreamingResponse(turn(words, pace), media_type="text/event-stream")


app = Starlette(routes=[Route("/chatkit", chatkit, methods=["POST"])])
