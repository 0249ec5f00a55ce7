"""Features that a project can switch off: a folder each, with `feature.py`."""
