"""A server of an older protocol, written by hand: it starts at once.

`argv[1]` is a folder, for the ids of the processes that have started and of those that work.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
tools = ["weigh", "wait", "hang", "grow"]


def main() -> None:
    note("started")
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            answer(message["id"], message["method"], message.get("params") or {})


def answer(request: int, method: str, params: dict[str, Any]) -> None:
    if method == "initialize":
        capabilities = {"tools": {"listChanged": True}}
        info = {"name": "plain", "version": "1"}
        version = params["protocolVersion"]
        send(id=request, result=dict(zip(KEYS, (version, capabilities, info), strict=True)))
    elif method == "tools/list":
        listed: list[Any] = [
            {"name": name, "inputSchema": SCHEMA, "annotations": READS} for name in tools
        ]
        send(id=request, result={"tools": listed})
    elif method == "tools/call":
        call(request, params["name"])
    else:
        send(id=request, error={"code": -32601, "message": "a secret of the inside"})


def call(request: int, tool: str) -> None:
    if tool == "wait":
        note("waiting")
        return
    if tool == "hang":
        note("waiting")
        while True:
            os.read(0, 1 << 16)
    if tool == "grow":
        tools.append("grown")
        send(method="notifications/tools/list_changed")
    send(id=request, result={"content": [{"type": "text", "text": f"{tool} by {os.getpid()}"}]})


def send(**message: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def note(what: str) -> None:
    Path(sys.argv[1], f"{what}-{os.getpid()}").touch()


KEYS = ("protocolVersion", "capabilities", "serverInfo")
READS = {"readOnlyHint": True}

if __name__ == "__main__":
    main()
