"""The headings above a place in a document, while it is read from the top."""

from app.features.rag.reading.texts import label


class Outline:
    """Keeps the path of headings that leads to the last one."""

    def __init__(self) -> None:
        self._path: list[tuple[int, str]] = []

    def enter(self, level: int, heading: str) -> tuple[str, ...]:
        """Go on to a heading; return its path. Levels that are left out do not matter."""
        self._path = [above for above in self._path if above[0] < level]
        self._path.append((level, label(heading)))
        return tuple(text for _, text in self._path if text)
