"""Time zones are read as browsers and systems write them, and never refused."""

from typing import Any

import pytest

from chatkit_engine.context import ClientContext

ZONES = {
    "Europe/Berlin": "Europe/Berlin",
    "europe/berlin": "Europe/Berlin",
    "America/New York": "America/New_York",
    "Asia/Calcutta": "Asia/Calcutta",
    "US/Pacific": "US/Pacific",
    "utc": "UTC",
    "Z": "UTC",
    "GMT+2": "Etc/GMT-2",
    "UTC-03:00": "Etc/GMT+3",
    "+05:00": "Etc/GMT-5",
    " Asia/Tokyo ": "Asia/Tokyo",
}
UNKNOWN: list[Any] = [
    *("Etc/Unknown", "Factory2", "Mars/Olympus", "W. Europe Standard Time", "../../etc/passwd"),
    *("GMT+15", "UTC-13:00", "+05:30", "\x00", "\ud800", "x" * 100_000, "", " ", "/", "Europe"),
    *(5, None, True, ["Europe/Berlin"], {"name": "UTC"}, 1.5),
]


@pytest.mark.parametrize(("name", "zone"), ZONES.items())
def test_a_time_zone_is_read(name: str, zone: str) -> None:
    assert ClientContext(timezone=name).timezone == zone


@pytest.mark.parametrize("name", UNKNOWN, ids=lambda name: repr(name)[:30])
def test_what_nobody_knows_is_none(name: Any) -> None:
    assert ClientContext.model_validate({"timezone": name}).timezone is None
