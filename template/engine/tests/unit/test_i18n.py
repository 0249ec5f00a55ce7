"""The catalogues are complete, and the language is the requested one."""

from copy import deepcopy
from io import BytesIO
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from chatkit.types import ErrorEvent, NoticeEvent, ProgressUpdateEvent
from support.app import ROOT

from chatkit_engine.discovery import ENGINE, feature_names
from chatkit_engine.i18n import _, message_language, preferred_locale, translate
from chatkit_engine.run.delivery import localized

SOURCE = ROOT / "src" / ENGINE
OWNERS = [SOURCE, *(SOURCE / "features" / name for name in feature_names(ENGINE))]
BUSY = _("This request is already being answered. Try again shortly.")


def _said(owner: Path) -> set[str]:
    """Return the texts that the core, or a feature, gives to `_`."""

    def enter(folder: str | Path) -> bool:
        return Path(folder).name not in ("features", "__pycache__")

    found = extract_from_dir(
        owner, [("**.py", "python")], keywords={"_": None}, directory_filter=enter
    )
    return {str(text) for _name, _line, text, _comments, _context in found}


def _texts(catalogue: Catalog) -> dict[str, str]:
    return {str(message.id): str(message.string) for message in catalogue if message.id}


def _placeholders(text: str) -> set[str | None]:
    return {name for _before, name, *_format in Formatter().parse(text) if name is not None}


def _is_ready(message: Message) -> bool:
    return bool(message.string) and not message.fuzzy


@pytest.mark.parametrize("owner", OWNERS, ids=lambda owner: owner.name)
def test_every_text_is_translated_and_the_compiled_catalogue_is_the_written_one(
    owner: Path,
) -> None:
    said = _said(owner)
    folder = owner / "locale/de/LC_MESSAGES"
    if not said and not folder.exists():
        return
    written = read_po(BytesIO((folder / "messages.po").read_bytes()), locale="de")
    compiled = read_mo(BytesIO((folder / "messages.mo").read_bytes()))

    assert _texts(written).keys() == said
    assert not written.obsolete
    assert [message.id for message in written if message.id and not _is_ready(message)] == []
    for text, translation in _texts(written).items():
        assert _placeholders(translation) == _placeholders(text), text
    assert _texts(compiled) == _texts(written), "run `pybabel compile`"


@pytest.mark.parametrize(
    ("header", "locale", "language"),
    [
        ("de", "de", "de"),
        ("fr-CH, fr;q=0.9, en;q=0.8", "fr-CH", "en"),
        ("*", "en", "en"),
        ("de-AT", "de-AT", "de"),
        ("DE-at", "DE-at", "de"),
        ("en;q=0.5, de;q=0.8", "de", "de"),
        ("de;q=0.5, en;q=0.8", "en", "en"),
        ("de, en", "de", "de"),
        ("fr, de;q=0.5", "fr", "de"),
        ("fr;q=0.9, nl", "nl", "en"),
        ("de;q=0, fr", "fr", "en"),
        ("de;q=0", "en", "en"),
        ("*, de;q=0.5", "en", "en"),
        ("de;q=0.500, *;q=0.1", "de", "de"),
        ("", "en", "en"),
        ("de;q=2, de;q=-1, de;q=x, de;", "en", "en"),
        ("de;q=x, de-CH;q=0.1", "de-CH", "de"),
        ("../../etc/passwd", "en", "en"),
        ("\x00", "en", "en"),
        ("x" * 5000, "en", "en"),
        (",".join(["fr"] * 50) + ",de", "fr", "en"),
    ],
)
def test_the_header_is_ranked_by_its_qualities(header: str, locale: str, language: str) -> None:
    assert preferred_locale(header) == locale
    assert message_language(header) == language


def test_a_message_is_its_english_text_and_is_translated_with_its_values() -> None:
    message = _("'limit' must be from 1 to {max}.", max=1000)

    assert message == "'limit' must be from 1 to 1000."
    assert translate(message, "de-CH") == "'limit' muss zwischen 1 und 1000 liegen."
    assert translate(message, "fr") == translate(message, "en") == message


def test_a_copy_of_a_message_is_translated_as_well() -> None:
    message = deepcopy(_("'limit' must be from 1 to {max}.", max=1000))

    assert translate(message, "de") == "'limit' muss zwischen 1 und 1000 liegen."


def test_a_value_with_braces_is_left_as_it_is() -> None:
    name = _("'{name}' belongs to another thread. Upload it again.", name="{0} {name}")

    assert "„{0} {name}“" in translate(name, "de")


@pytest.mark.parametrize("text", ["", "Nobody has translated this.", "{odd} text {"])
def test_a_text_without_a_translation_stays_as_it_is(text: str) -> None:
    assert translate(text, "de") == text


def test_messages_of_a_stream_are_translated_and_everything_else_is_left() -> None:
    error = ErrorEvent(message=BUSY, allow_retry=True)
    notice = NoticeEvent(level="info", message=BUSY, title="Our own title")
    progress = ProgressUpdateEvent(text=BUSY)

    assert localized(error, "de") == ErrorEvent(message=translate(BUSY, "de"), allow_retry=True)
    assert localized(notice, "de") == NoticeEvent(
        level="info", message=translate(BUSY, "de"), title="Our own title"
    )
    assert localized(progress, "de") is progress
    assert localized(ErrorEvent(code="custom"), "de") == ErrorEvent(code="custom")
