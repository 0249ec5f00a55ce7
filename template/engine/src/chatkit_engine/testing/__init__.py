"""What tests of an application need: a fake model API, the running application, and databases.

`from chatkit_engine.testing import Reply, create, items_of`: `__init__.pyi` lists the names.
`chatkit_engine.testing.plugin` is a pytest plugin with the fixtures; see there.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(  # pyright: ignore[reportUnknownVariableType]
    __name__, __file__
)
