"""A short name for what vectors can be compared."""

from hashlib import sha256

LENGTH = 16


def short_name(embedder_name: str, dimensions: int) -> str:
    """Return a name of letters and digits, fit for SQL and for URLs as it is."""
    return sha256(f"{dimensions} {embedder_name}".encode()).hexdigest()[:LENGTH]
