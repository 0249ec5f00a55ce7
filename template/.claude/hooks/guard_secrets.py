"""Before a tool runs: refuses to read `.env`, keys and `data/`, also through the shell."""

from pathlib import Path

from hook import ROOT, Event, run, tell
from secrets_in import is_secret, secret_in

PATHS = ("file_path", "notebook_path", "path", "glob")
ADVICE = (
    "It holds secrets or users' data. `.env.example` lists every "
    "setting, `doctor` says which are missing, and `>> .env` adds one. Ask the user for the rest."
)


def _guard(event: Event) -> None:
    cwd = Path(event.get("cwd") or ROOT)
    tool_input = event.get("tool_input", {})
    named = next((text for text in _named(tool_input) if is_secret(text, cwd)), None)
    found = named or secret_in(str(tool_input.get("command", "")), cwd)
    if found:
        tell(f"{found} must not be read. {ADVICE}")


def _named(tool_input: Event) -> list[str]:
    return [str(tool_input[name]) for name in PATHS if tool_input.get(name)]


if __name__ == "__main__":
    run(_guard)
