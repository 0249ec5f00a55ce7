"""Measures Python code: `python scripts/measures.py FOLDER [FOLDER ...]` prints a column for each.

Modules are files with code, without migrations. A function's length is its body, without the
docstring. A private function begins with one underscore; it is "used once" where its name occurs
once in its module besides the definition. Comment lines are lines that hold nothing else.
"""

import ast
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Measures:
    """What is counted in a folder."""

    modules: list[int] = field(default_factory=list)
    functions: list[int] = field(default_factory=list)
    private: int = 0
    used_once: int = 0
    comments: int = 0
    documented: int = 0
    definitions: int = 0

    def add(self, source: str) -> None:
        """Count one module."""
        tree = ast.parse(source)
        lines = source.splitlines()
        self.modules.append(len(lines))
        self.comments += sum(line.lstrip().startswith("#") for line in lines)
        for node in ast.walk(tree):
            if isinstance(node, Function | ast.ClassDef | ast.Module):
                self.definitions += 1
                self.documented += ast.get_docstring(node) is not None
            if isinstance(node, Function):
                self._add_function(node, source)

    def _add_function(self, function: Function, source: str) -> None:
        body = function.body[1:] if ast.get_docstring(function) else function.body
        length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
        self.functions.append(length)
        name = function.name
        if name.startswith("_") and not name.startswith("__"):
            self.private += 1
            uses = len(re.findall(rf"\b{name}\b", source)) - 1
            self.used_once += uses == 1

    def rows(self) -> dict[str, str]:
        """Return the figures by their names."""
        count = len(self.functions) or 1
        lines = sum(self.modules) or 1
        return {
            "modules": f"{len(self.modules)}",
            "lines": f"{lines}",
            "module: median, p90, max": _spread(self.modules),
            "functions": f"{len(self.functions)}",
            "function: median, p90, max": _spread(self.functions),
            "private functions, %": f"{100 * self.private / count:.0f}",
            "private and used once, %": f"{100 * self.used_once / count:.0f}",
            "comment lines in 100": f"{100 * self.comments / lines:.1f}",
            "definitions with a docstring, %": f"{100 * self.documented / self.definitions:.0f}",
        }


def _spread(values: list[int]) -> str:
    ninth = quantiles(values, n=10)[-1] if len(values) > 1 else values[0]
    return f"{median(values):.0f}, {ninth:.0f}, {max(values)}"


def measure(folder: Path) -> Measures:
    """Measure the modules below a folder."""
    measures = Measures()
    for file in sorted(folder.rglob("*.py")):
        source = file.read_text()
        if source.strip() and not {"migrations", "pgvector_migrations"} & set(file.parts):
            measures.add(source)
    return measures


def main(folders: list[str]) -> None:
    columns = {folder: measure(Path(folder)).rows() for folder in folders}
    width = max(map(len, folders))
    print(" " * 32, *(f"{folder:>{width}}" for folder in folders))
    for name in next(iter(columns.values())):
        print(f"{name:<32}", *(f"{column[name]:>{width}}" for column in columns.values()))


if __name__ == "__main__":
    main(sys.argv[1:] or sys.exit(__doc__))
