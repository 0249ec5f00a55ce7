"""Time zones, as browsers and systems name them."""

import re
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

MAX_LENGTH = 100
# `GMT+2`, `UTC-03:00`, `+05:00`; the database of time zones has whole hours only.
OFFSET = re.compile(r"(?:utc|gmt)?([+-])0?(\d{1,2})(?::?00)?", re.IGNORECASE)
FURTHEST_HOURS = {"+": 14, "-": 12}


def known_timezone(name: str) -> str | None:
    """Return the IANA name of a time zone, or `None` if nobody knows it."""
    name = name.strip()[:MAX_LENGTH]
    if known := _exact(name) or _names().get(name.lower().replace(" ", "_")):
        return known
    offset = OFFSET.fullmatch(name)
    if offset is None or int(offset[2]) > FURTHEST_HOURS[offset[1]]:
        return None
    # In these names the sign is turned around.
    sign = "-" if offset[1] == "+" else "+"
    return f"Etc/GMT{sign}{int(offset[2])}"


def _exact(name: str) -> str | None:
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError):
        return None


@cache
def _names() -> dict[str, str]:
    """Return the names by their lower-case spelling. Finding them takes some 0.1 s."""
    return {name.lower(): name for name in available_timezones()} | {"z": "UTC"}
