"""Splits texts into words for the searches, and knows the stop words."""

import re
import unicodedata
from itertools import pairwise

WORD = re.compile(r"[^\W_]+")
# Chinese and Japanese letters: these languages put no spaces between words.
UNSPACED = re.compile(r"([\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+)")
# The most frequent words of English and German.
_STOP_WORDS = """
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
STOP_WORDS = frozenset(_STOP_WORDS.split())


def fold(text: str) -> str:
    """Return the text in lower case and without accents."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.lower())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def words_of(text: str) -> list[str]:
    """Return the words in order and in lower case.

    Text without spaces between words is returned as pairs of letters.
    """
    return [word for run in WORD.findall(text.lower()) for word in _split_run(run)]


def search_terms(text: str, limit: int) -> list[str]:
    """Return each word once, without stop words unless there are no others."""
    words = list(dict.fromkeys(words_of(text)))
    kept = [word for word in words if fold(word) not in STOP_WORDS]
    return (kept or words)[:limit]


def _split_run(run: str) -> list[str]:
    if run.isascii() or not UNSPACED.search(run):
        return [run]
    parts = [part for part in UNSPACED.split(run) if part]
    return [word for part in parts for word in (_pairs(part) if UNSPACED.match(part) else [part])]


def _pairs(letters: str) -> list[str]:
    return [first + second for first, second in pairwise(letters)] or [letters]
