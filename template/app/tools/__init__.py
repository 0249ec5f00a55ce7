"""The assistant's tools: one a file. Every function tool in this folder is the assistant's."""

from importlib import import_module
from pkgutil import iter_modules

from agents import FunctionTool


def discover_tools() -> list[FunctionTool]:
    """Return the tools of this folder's modules, sorted by name."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    found = {
        value.name: value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, FunctionTool)
    }
    return [found[name] for name in sorted(found)]
