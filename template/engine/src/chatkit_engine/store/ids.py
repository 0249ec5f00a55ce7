"""Identifiers: 128 random bits with a readable prefix, such as `thr_5f0c…`."""

import secrets


def new_id(prefix: str) -> str:
    """Return `prefix_` and 32 hex digits."""
    return f"{prefix}_{secrets.token_hex(16)}"
