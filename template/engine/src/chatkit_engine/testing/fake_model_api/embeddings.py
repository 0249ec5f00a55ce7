"""The fake's embeddings API. Texts that share words get similar vectors."""

import asyncio
import struct
from base64 import b64encode
from math import sqrt
from typing import Any
from zlib import crc32

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from chatkit_engine.testing.fake_model_api.reply import FOREVER_SECONDS, Reply

DIMENSIONS = 1536


class EmbeddingsApi:
    """Answers with vectors, not in the order of the texts, and records the requests.

    Scripted replies come first. A `status` other than 200 is an error, `cut_after_words` breaks the
    connection, `hangs` never answers, and `endless` never ends. If `answer` is set, it is sent
    instead of vectors.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Any = None
        self._script: list[Reply] = []

    @property
    def texts(self) -> list[str]:
        """Every text that was sent, in order."""
        return [text for request in self.requests for text in request["input"]]

    def script(self, *replies: Reply) -> None:
        self._script.extend(replies)

    async def respond(self, request: Request) -> Response:
        body: dict[str, Any] = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        reply = self._script.pop(0) if self._script else Reply()
        if reply.hangs:
            await asyncio.sleep(FOREVER_SECONDS)
        if reply.endless:
            return StreamingResponse(reply.forever(), media_type="application/json")
        if reply.status != 200:
            error = {"error": {"message": "scripted error, with details", "code": None}}
            return JSONResponse(error, reply.status, headers=reply.headers)
        answer = JSONResponse(self._whole(body) if self.answer is None else self.answer)
        if reply.cut_after_words is not None:
            answer.headers["content-length"] = str(len(answer.body) + 1)
        return answer

    def _whole(self, body: dict[str, Any]) -> dict[str, Any]:
        length = body.get("dimensions") or DIMENSIONS
        vectors = [vector_of(text, length) for text in body["input"]]
        encode = _base64 if body.get("encoding_format") == "base64" else list[float]
        data = [
            {"object": "embedding", "index": number, "embedding": encode(vector)}
            for number, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return {"object": "list", "data": data[::-1], "model": body["model"], "usage": usage}


def vector_of(text: str, length: int = DIMENSIONS) -> list[float]:
    """Return a vector of length 2, to show that the client scales it to unit length."""
    counts = [0.0] * length
    for word in text.lower().split() or [text]:
        counts[crc32(word.encode()) % length] += 1
    norm = sqrt(sum(count * count for count in counts))
    return [2 * count / norm for count in counts]


def _base64(vector: list[float]) -> str:
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
