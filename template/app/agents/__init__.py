"""The agents and what they are told."""
