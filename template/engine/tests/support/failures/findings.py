"""The counts and measurements of a run, and the promises that it found broken."""


class Findings:
    """Counts by name, the worst of each measure, and the broken promises in words."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}
        self.broken: list[str] = []

    def count(self, name: str, by: int = 1) -> None:
        self.numbers[name] = self.numbers.get(name, 0) + by

    def worst(self, name: str, value: float) -> None:
        self.numbers[name] = max(self.numbers.get(name, 0.0), value)

    def expect(self, holds: bool, name: str, otherwise: str) -> bool:
        """Count a promise that was kept under its name, or keep what was found in its place."""
        if holds:
            self.count(name)
        else:
            self.broken.append(f"{name}: {otherwise}")
        return holds
