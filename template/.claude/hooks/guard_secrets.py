"""Before a tool runs: refuses to read `.env`, keys and `data/`, also through the shell.

What takes too long to be checked is refused too, because Claude Code lets a tool run whose hook
has not answered in time.
"""

import os
import sys
from pathlib import Path
from threading import Timer

from commands_in import secret_in
from hook import ROOT, Event, run, tell
from secrets_in import is_secret, matches_secret

PATHS = ("file_path", "notebook_path", "path", "glob")
MAX_COMMAND = 20_000
SECONDS = 5
ADVICE = (
    "It holds secrets or users' data. `.env.example` lists every "
    "setting, `doctor` says which are missing, and `>> .env` adds one. Ask the user for the rest."
)
UNCHECKED = "This command cannot be checked, so it must not be run as it is: make it shorter."


def _guard(event: Event) -> None:
    timer = Timer(SECONDS, _refuse)
    timer.daemon = True
    timer.start()
    try:
        found = _secret(event)
    except Exception:
        tell(UNCHECKED)
    finally:
        timer.cancel()
    if found:
        tell(f"{found} must not be read. {ADVICE}")


def _secret(event: Event) -> str | None:
    cwd = Path(event.get("cwd") or ROOT)
    tool_input = event.get("tool_input", {})
    if (named := _named(tool_input, cwd)) is not None:
        return named
    command = str(tool_input.get("command", ""))
    if len(command) > MAX_COMMAND:
        raise ValueError("the command is too long")
    return secret_in(command, cwd)


def _named(tool_input: Event, cwd: Path) -> str | None:
    glob = str(tool_input.get("glob") or "")
    if glob and not glob.startswith("!") and matches_secret(glob):
        return glob
    texts = [str(tool_input[name]) for name in PATHS if tool_input.get(name)]
    return next((text for text in texts if is_secret(text, cwd)), None)


def _refuse() -> None:
    sys.stderr.write(f"{UNCHECKED}\n")
    sys.stderr.flush()
    os._exit(2)


if __name__ == "__main__":
    run(_guard)
