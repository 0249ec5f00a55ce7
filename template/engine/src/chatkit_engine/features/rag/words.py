"""Words as searches compare them, and which of them tell nothing."""

import re
import unicodedata
from itertools import pairwise

WORD = re.compile(r"[^\W_]+")

# Chinese and Japanese, which put no spaces between words.
UNSPACED = re.compile(r"([\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+)")

# English and German words that are in most texts.
_PLAIN = """
a about all also am an and any are as at be because been but by can could did do does for from
get had has have he her his how i if in into is it its just like may me might more most must my
no not of on one or our out over own please shall she should so some tell than that the their
them then there these they this to up us very was we were what when where which who why will
with would you your
aber als am an auch auf aus bei bin bis da das dass dein dem den der des die dies diese du durch
ein eine einem einen einer eines er es fur geht habe haben hat hier ich ihr im in ist kann kein
keine konnen man mein mich mir mit muss nach nicht noch nur ob oder sein sich sie sind so uber
um und uns von vor wann war warum was welche wenn wer werden wie wir wird wo zu zum zur
"""

PLAIN = frozenset(_PLAIN.split())


def fold(text: str) -> str:
    """Return the text in lower case and without accents."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.lower())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def words_of(text: str) -> list[str]:
    """Return the text's words in order, in lower case; where no spaces part them, their pairs."""
    return [word for run in WORD.findall(text.lower()) for word in _parted(run)]


def _parted(run: str) -> list[str]:
    if run.isascii() or not UNSPACED.search(run):
        return [run]
    parts = [part for part in UNSPACED.split(run) if part]
    return [word for part in parts for word in (_pairs(part) if UNSPACED.match(part) else [part])]


def _pairs(letters: str) -> list[str]:
    return [first + second for first, second in pairwise(letters)] or [letters]


def telling(text: str, limit: int) -> list[str]:
    """Return what a search looks for: each word once, without plain ones where others are left."""
    words = list(dict.fromkeys(words_of(text)))
    kept = [word for word in words if fold(word) not in PLAIN]
    return (kept or words)[:limit]
