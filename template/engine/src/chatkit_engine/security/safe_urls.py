"""Which URLs are safe to open. It imports nothing, because the workers that read files use it."""

import re
import unicodedata
from html import unescape
from urllib.parse import urlsplit

# The authority has no user name and no backslash, which browsers read as a slash.
WEB = re.compile(r"https?://[^/?#@\\]+([/?#].*)?", re.IGNORECASE)
MAIL = re.compile(r"mailto:[^:@]+@[^:@]+", re.IGNORECASE)
SAME_SITE = re.compile(r"(?!//)[^:\\?#]*([?#].*)?")
UNSEEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"}


def safe_url(url: str) -> str | None:
    """Return the URL if it is safe to open, or None, for example for `javascript:`."""
    # A client that puts the URL into HTML reads entities.
    return url if _is_safe(url) and _is_safe(unescape(url)) else None


def _is_safe(url: str) -> bool:
    if any(unicodedata.category(character) in UNSEEN for character in url):
        return False
    if WEB.fullmatch(url):
        return _has_host(url)
    return bool(MAIL.fullmatch(url) or SAME_SITE.fullmatch(url))


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
