"""Requests that nobody would send are answered, and never with a 500."""

import json

from support.app import Running
from support.fuzz import Fuzzer

from chatkit_engine.testing.requests import create, events, thread_id

JSON = {"Content-Type": "application/json"}
COUNT = 300


async def test_no_request_is_the_servers_fault(app: Running) -> None:
    """`make fuzz` sends many more, over a socket."""
    thread = thread_id(events((await app.chatkit(create("Hello"))).text))
    items = [item["id"] for item in await app.items(thread)]
    known = {"thread_id": [thread], "item_id": items, "item_ids": items}

    for request in Fuzzer(seed=1, known=known).requests(COUNT):
        body = json.dumps(request).encode("utf-8", "surrogatepass")
        response = await app.http.post("/chatkit", content=body, headers=JSON)

        assert response.status_code < 500, body[:2000]
        assert "internal_error" not in response.text, body[:2000]

    assert (await app.chatkit(create("Hello"))).status_code == 200
