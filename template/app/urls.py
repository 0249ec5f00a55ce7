"""What counts as the URL of a server."""

import re

BASE_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[!-~]*)?")


def check_base_url(url: str | None, example: str) -> str | None:
    """Return the URL.

    Raises:
        ValueError: it has no scheme and host, or characters that no URL has.
    """
    if url is not None and not BASE_URL.fullmatch(url):
        raise ValueError(f"must be a URL such as {example}")
    return url
