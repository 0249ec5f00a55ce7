"""The anchors of headings, as GitHub makes them."""

import re
from collections import Counter

NOT_IN_SLUGS = re.compile(r"[^\w\- ]")


class Slugs:
    """Makes each heading of a document an anchor that no other has."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def make(self, heading: str) -> str:
        base = NOT_IN_SLUGS.sub("", heading.strip().lower()).replace(" ", "-")
        slug = base
        while slug in self._times:
            slug = f"{base}-{self._times[base]}"
            self._times[base] += 1
        self._times[slug] = 1
        return slug
