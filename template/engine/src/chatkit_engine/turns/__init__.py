"""Turns: admission, a turn's life, replay and sweeping."""
