"""A contract for import-linter: an application imports the engine's public names only.

    [importlinter]
    contract_types =
        public_names: chatkit_engine.testing.public_names.PublicNamesContract

    [importlinter:contract:public-names]
    name = The application and its tests import public names of the engine only
    type = public_names
    importers = app
    folders = tests

`importers` are packages. `folders` have files outside of any package, for example tests.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

ENGINE = "chatkit_engine"
TESTING = f"{ENGINE}.testing"
STUB = Path(__file__).parents[1] / "__init__.pyi"
NAMES = frozenset(re.findall(r"^from \.\S+ import (\w+) as", STUB.read_text(), re.MULTILINE))


@dataclass(frozen=True)
class PrivateImport:
    """A statement that imports a private name, and what to write instead."""

    file: Path
    line: int
    statement: str
    advice: str


class PublicNamesContract(Contract):
    """Refuses each import of a private module or name, and names the public one."""

    importers = fields.ListField(subfield=fields.StringField())
    folders = fields.ListField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        importers: Any = self.importers
        folders: Any = self.folders
        files = [*_files_of(graph, importers), *_files_in(folders or ())]
        found = [private for file in files for private in private_imports(file)]
        return ContractCheck(kept=not found, metadata={"private": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for each in check.metadata["private"]:
            output.print_error(f"{each.file}, line {each.line}: {each.statement}")
            output.indent_cursor()
            output.print_error(each.advice)


def private_imports(file: Path) -> list[PrivateImport]:
    """Return the private imports of a file in line order."""
    found = [
        PrivateImport(file, node.lineno, ast.unparse(node), advice)
        for node in ast.walk(ast.parse(file.read_text(), str(file)))
        if isinstance(node, ast.ImportFrom | ast.Import) and (advice := _advice(node))
    ]
    return sorted(found, key=lambda each: each.line)


def _files_of(graph: ImportGraph, packages: Iterable[str]) -> Iterator[Path]:
    for package in packages:
        for module in sorted({package, *graph.find_descendants(package)}):
            spec = find_spec(module)
            if spec is not None and spec.origin is not None:
                yield _shown(Path(spec.origin))


def _files_in(folders: Iterable[str]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(Path(folder).rglob("*.py"))


def _shown(file: Path) -> Path:
    """Return the path from the current folder, if the file is below it."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def _advice(node: ast.ImportFrom | ast.Import) -> str | None:
    """Return what to write instead of an import, or None if it is public."""
    if isinstance(node, ast.Import):
        private = [alias.name for alias in node.names if _is_private_module(alias.name)]
        return f"Write `import {ENGINE}`: {', '.join(private)} is private." if private else None
    module, names = node.module or "", [alias.name for alias in node.names]
    if module == ENGINE:
        unknown = [name for name in names if name not in NAMES and name != "testing"]
    elif _is_private_module(module):
        unknown = [name for name in names if name not in NAMES]
    else:
        return None
    if unknown:
        return (
            f"{', '.join(unknown)} is private and may change in any version. The public names and "
            "the hooks are in engine/README.md: use a hook where you would change the engine."
        )
    return f"Write `from {ENGINE} import {', '.join(names)}`." if module != ENGINE else None


def _is_private_module(name: str) -> bool:
    is_testing = name == TESTING or name.startswith(f"{TESTING}.")
    return name.startswith(f"{ENGINE}.") and not is_testing
