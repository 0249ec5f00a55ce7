"""The lines `key: value` between two `---` at the top of a Markdown file."""

import re

FENCE = "---"
PAIR = re.compile(r"([A-Za-z_][\w-]*)\s*:\s+(\S.*)")
QUOTED = re.compile(r"""(["'])(.*)\1""")


def split_front_matter(text: str) -> tuple[dict[str, str], str]:
    """Return the values by key, and the rest. Lists and nested values are not read."""
    lines = text.split("\n")
    if lines[0].rstrip() != FENCE:
        return {}, text
    for number, line in enumerate(lines[1:], 1):
        if line.rstrip() == FENCE:
            return _values(lines[1:number]), "\n".join(lines[number + 1 :])
    return {}, text


def _values(lines: list[str]) -> dict[str, str]:
    pairs = [pair for line in lines if (pair := PAIR.fullmatch(line.rstrip()))]
    return {pair[1].lower(): _unquoted(pair[2]) for pair in pairs}


def _unquoted(value: str) -> str:
    quoted = QUOTED.fullmatch(value)
    return quoted[2] if quoted else value
