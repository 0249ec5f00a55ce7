"""How a hook talks to Claude Code: an event as JSON on stdin, an exit code, a reason on stderr.

Exit code 2 blocks the tool. After the tool has run, it shows the reason to the agent instead. Any
other code lets the work go on.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).absolute().parents[2]
Event = dict[str, Any]


def run(work: Callable[[Event], None]) -> None:
    """Do the work on the event. A hook that fails reports it and blocks nothing."""
    try:
        event = json.loads(sys.stdin.buffer.read().decode("utf-8"))
        work(event)
    except Exception as error:
        sys.stderr.write(f"{Path(sys.argv[0]).name} failed and was passed over: {error!r}\n")
        sys.exit(1)


def tell(reason: str) -> NoReturn:
    """Block the tool, or show the agent what is wrong with what it did."""
    sys.stderr.buffer.write(f"{reason}\n".encode())
    sys.exit(2)


def edited_file(event: Event) -> Path | None:
    """Return the file that the tool edits, if it is in this project."""
    tool_input = event.get("tool_input", {})
    name = tool_input.get("file_path") or tool_input.get("notebook_path")
    if not name:
        return None
    path = Path(event.get("cwd", ROOT), name).absolute()
    return path if path.is_relative_to(ROOT) else None


def edits_of(event: Event) -> Path:
    """Return the file that lists what a session edited."""
    session = "".join(c for c in str(event.get("session_id", "")) if c.isalnum() or c == "-")
    return ROOT / ".claude" / "edits" / (session or "unknown")
