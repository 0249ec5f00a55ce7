"""Numbers without gaps or duplicates, even if two runs ask at the same time."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sdd.command import Refused

PATIENCE_SECONDS = 10.0
PAUSE_SECONDS = 0.02


@contextmanager
def next_number(folder: Path, taken: Callable[[], Iterable[int]]) -> Iterator[int]:
    """Hold the next free number until the block has used it.

    Raises:
        Refused: another run holds the number for too long.
    """
    folder.mkdir(parents=True, exist_ok=True)
    claim = folder / ".claim"
    last = time.monotonic() + PATIENCE_SECONDS
    while not _made(claim):
        if time.monotonic() > last:
            raise Refused(f"another run holds {claim}. Delete that file if there is no such run.")
        time.sleep(PAUSE_SECONDS)
    try:
        yield 1 + max(taken(), default=0)
    finally:
        claim.unlink()


def _made(claim: Path) -> bool:
    """Create the file unless it exists. Windows refuses while another run deletes it."""
    try:
        claim.touch(exist_ok=False)
    except (FileExistsError, PermissionError):
        return False
    return True
