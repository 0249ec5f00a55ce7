"""The settings of the engine, and their sources."""
