"""Features, one a folder, found by the engine.

`feature.py` has `install(builder)`. A feature may also have `commands.py`, `mcp_tools.py`,
translations in `locale/`, and migrations of its own.
"""
