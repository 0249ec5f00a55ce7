"""A self-hosted ChatKit server as a library. `__init__.pyi` lists the public names.

A name is imported when it is first used, so that a command or a child process loads only what it
needs.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(  # pyright: ignore[reportUnknownVariableType]
    __name__, __file__
)
