"""When the agent stops: reminds it once to record what it changed."""

from hook import ROOT, Event, edits_of, run, tell

SCRIPT = ".specify/scripts/sp/phr.py"
MOST_SHOWN = 5


def _remind(event: Event) -> None:
    notes = edits_of(event)
    if event.get("stop_hook_active") or not notes.exists():
        return
    edited_at = notes.stat().st_mtime
    files = sorted(set(notes.read_text(encoding="utf-8").split("\n")) - {""})
    notes.unlink()
    if _newest_record() < edited_at:
        shown = ", ".join(files[:MOST_SHOWN]) + (", ..." if len(files) > MOST_SHOWN else "")
        tell(
            f"Changed without a Prompt History Record: {shown}. Record it with /sp.phr ({SCRIPT}); "
            "if the user does not want a record, say so and stop."
        )


def _newest_record() -> float:
    records = (ROOT / "history" / "prompts").rglob("*.prompt.md")
    return max((record.stat().st_mtime for record in records), default=0.0)


if __name__ == "__main__":
    run(_remind)
