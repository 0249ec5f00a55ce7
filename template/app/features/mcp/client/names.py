"""What the model calls a server's tools: `server_tool`, in characters that every API takes."""

import re
from collections.abc import Container, Iterable
from hashlib import sha256

MAX_NAME = 64
HASH = 8
FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")


def name_tools(server: str, tools: Iterable[str], taken: Container[str]) -> dict[str, str]:
    """Return the names by the tool, each another one and none that is taken.

    A name that would be too long, or another's, ends with a hash of the tool's own.
    """
    names: dict[str, str] = {}
    for tool in tools:
        name = FORBIDDEN.sub("_", f"{server}_{tool}")
        if len(name) > MAX_NAME or name in taken or name in names.values():
            name = f"{name[: MAX_NAME - HASH - 1]}_{sha256(tool.encode()).hexdigest()[:HASH]}"
        names[tool] = name
    return names
