"""Widgets: a `.widget` file each, and a module that fills it and handles its actions."""
