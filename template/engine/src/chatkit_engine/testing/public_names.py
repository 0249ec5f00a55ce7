"""A contract for import-linter: an application imports the engine's public names only.

[importlinter]
contract_types =
    public_names: chatkit_engine.testing.public_names.PublicNamesContract

[importlinter:contract:public-names]
name = The application imports public names of the engine only
type = public_names
importers = app
"""

import ast
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

ENGINE = "chatkit_engine"
PUBLIC_MODULES = (ENGINE, f"{ENGINE}.testing")
STUB = Path(__file__).parents[1] / "__init__.pyi"
NAMES = frozenset(re.findall(r"^from \.\S+ import (\w+) as", STUB.read_text(), re.MULTILINE))


@dataclass(frozen=True)
class PrivateImport:
    """A statement that imports a private name, and what to write in its place."""

    module: str
    line: int
    statement: str
    advice: str


class PublicNamesContract(Contract):
    """Refuses each import of a private module or name, and names the public one."""

    importers = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        importers: Any = self.importers
        found = [
            private
            for importer in importers
            for module in sorted({importer, *graph.find_descendants(importer)})
            for private in private_imports(module)
        ]
        return ContractCheck(kept=not found, metadata={"private": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for each in check.metadata["private"]:
            output.print_error(f"{each.module}, line {each.line}: {each.statement}")
            output.indent_cursor()
            output.print_error(each.advice)


def private_imports(module: str) -> list[PrivateImport]:
    """Return the private imports of a module, in the order of its lines."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return []
    found = [
        PrivateImport(module, node.lineno, ast.unparse(node), advice)
        for node in ast.walk(ast.parse(Path(spec.origin).read_text()))
        if isinstance(node, ast.ImportFrom | ast.Import) and (advice := _advice(node))
    ]
    return sorted(found, key=lambda each: each.line)


def _advice(node: ast.ImportFrom | ast.Import) -> str | None:
    """Return what to write in place of an import, or None if it is a public one."""
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
            f"{', '.join(unknown)} is private and may change in any version. The public names are "
            "in engine/README.md; what you would change in the engine has a hook there."
        )
    return f"Write `from {ENGINE} import {', '.join(names)}`." if module != ENGINE else None


def _is_private_module(name: str) -> bool:
    inside = name == ENGINE or name.startswith(f"{ENGINE}.")
    return inside and not (name == ENGINE or name.startswith(PUBLIC_MODULES[1]))
