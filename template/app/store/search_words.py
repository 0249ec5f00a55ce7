"""A search's words, in the spelling that both databases read: quoted, with `OR`."""

SNIPPET_WORDS = 16
NEWEST = 50


def queries(words: list[str]) -> list[str]:
    """Return what finds candidates: all the words together, and each of them."""
    quoted = [f'"{word}"' for word in words]
    return list(dict.fromkeys([" ".join(quoted), *quoted]))


def any_of(words: list[str]) -> str:
    return " OR ".join(f'"{word}"' for word in words)
