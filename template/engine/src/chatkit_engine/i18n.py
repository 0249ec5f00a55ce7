"""The user's language, from `Accept-Language`, and messages in it.

The catalogues are in the folders `locale/` of the engine, of the application and of each feature. A
language is supported if the application has a catalogue for it: one language for the texts of both.
A text without a translation stays English.
"""

import re
from collections.abc import Iterable
from functools import cache
from gettext import NullTranslations, translation
from pathlib import Path
from typing import LiteralString, Self

HERE = Path(__file__).parent
ENGLISH = "en"
MAX_ENTRIES = 50

# A language range with an optional quality (RFC 9110, 12.4.2 and 12.5.4).
ENTRY = re.compile(
    r"([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,2}|\*)"
    r"(?:\s*;\s*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)

_engine_folders = [HERE / "locale", *sorted(HERE.glob("features/*/locale"))]
_folders: list[Path] = []


class Message(str):
    """An English text that keeps its template and values, so that it can be translated later."""

    template: str
    values: dict[str, object]

    def __new__(cls, template: str, values: dict[str, object]) -> Self:
        message = super().__new__(cls, template.format(**values))
        message.template = template
        message.values = values
        return message

    def __reduce__(self) -> tuple[type[Self], tuple[str, dict[str, object]]]:
        """Support `copy`, because the Agents SDK copies what a tool returns."""
        return type(self), (self.template, self.values)


def _(template: LiteralString, /, **values: object) -> Message:
    """Mark a text for translation, for example `_("at most {max} bytes", max=5)`."""
    return Message(template, values)


def translate(text: str, locale: str) -> str:
    """Return the text in the language of a locale, for example `de-AT`, or else in English.

    A `Message` is looked up by its template, any other text as it is.
    """
    catalogue = _catalogue(_supported(locale) or ENGLISH)
    if isinstance(text, Message):
        return catalogue.gettext(text.template).format(**text.values)
    return catalogue.gettext(text) if text else text


def preferred_locale(accept_language: str) -> str:
    """Return the language tag that an `Accept-Language` header prefers (RFC 9110, 12.5.4)."""
    return next(iter(_ranked(accept_language)), ENGLISH)


def message_language(accept_language: str) -> str:
    """Return the supported language that the header prefers, or else English."""
    supported = (_supported(tag) for tag in _ranked(accept_language))
    return next((language for language in supported if language), ENGLISH)


def _ranked(accept_language: str) -> list[str]:
    entries = accept_language.split(",")[:MAX_ENTRIES]
    matches = [match for entry in entries if (match := ENTRY.fullmatch(entry.strip()))]
    ranked = [(float(match[2] or 1), match[1]) for match in matches]
    ranked.sort(key=lambda entry: entry[0], reverse=True)
    return [tag.replace("*", ENGLISH) for quality, tag in ranked if quality > 0]


def _supported(tag: str) -> str | None:
    """Return the supported language for a tag: for `de-AT` that is `de_AT`, or else `de`."""
    parts = tag.lower().split("-")
    names = ("_".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((_languages()[name] for name in names if name in _languages()), None)


def add_translations(folders: Iterable[Path]) -> None:
    """Add the `locale` folders of an application. The engine's are searched first."""
    new = [folder for folder in folders if folder not in _folders]
    if new:
        _folders.extend(new)
        _languages.cache_clear()
        _catalogue.cache_clear()


@cache
def _languages() -> dict[str, str]:
    names = [folder.parent.name for root in _folders for folder in root.glob("*/LC_MESSAGES")]
    return {name.lower(): name for name in (ENGLISH, *names)}


@cache
def _catalogue(language: str) -> NullTranslations:
    chain = NullTranslations()
    for folder in (*_engine_folders, *_folders):
        chain.add_fallback(translation("messages", folder, [language], fallback=True))
    return chain
