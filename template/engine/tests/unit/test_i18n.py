"""The catalogues are complete, and the language is the requested one."""

import subprocess
import sys
from copy import deepcopy
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from chatkit.types import ErrorEvent, NoticeEvent, ProgressUpdateEvent
from support.app import ROOT

from chatkit_engine.discovery import ENGINE, feature_names, locale_folders
from chatkit_engine.i18n import (
    _,
    add_translations,
    message_language,
    preferred_locale,
    translate,
)
from chatkit_engine.run.delivery import localized
from chatkit_engine.testing.translations import (
    catalogues_of,
    texts_in,
    translation_faults,
    translation_gaps,
)

SOURCE = ROOT / "src" / ENGINE
OWNERS = [SOURCE, *(SOURCE / "features" / name for name in feature_names(ENGINE))]
BUSY = _("This request is already being answered. Try again shortly.")


@pytest.fixture(autouse=True, scope="module")
def sample_languages() -> None:
    add_translations(locale_folders("sample"))


@pytest.mark.parametrize("owner", OWNERS, ids=lambda owner: owner.name)
def test_every_text_is_translated_and_the_compiled_catalogue_is_the_written_one(
    owner: Path,
) -> None:
    catalogue = owner / "locale/de/LC_MESSAGES/messages.po"
    if not catalogue.exists():
        assert texts_in(owner) == set()
        return

    assert translation_gaps(catalogue) == []
    assert translation_faults(catalogue) == []
    written = read_po(BytesIO(catalogue.read_bytes()))
    assert {str(each.id) for each in written if each.id} == texts_in(owner)
    assert not written.obsolete


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


def test_what_is_missing_wrong_or_not_compiled_is_found(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text('_("Hello {name}")\n_("Good bye")\n')
    catalogue = tmp_path / "locale/fr/LC_MESSAGES/messages.po"
    catalogue.parent.mkdir(parents=True)
    catalogue.write_text('msgid "Hello {name}"\nmsgstr "Bonjour {nom}"\n')

    assert catalogues_of(tmp_path) == [catalogue]
    assert [gap.rsplit(": ")[-1] for gap in translation_gaps(catalogue)] == [
        "Good bye",
        "its messages.mo is another",
    ]
    assert len(translation_faults(catalogue)) == 1


def test_a_language_of_the_engine_alone_is_not_offered() -> None:
    """Else users would read half of the messages in English. In a process without a catalogue."""
    code = (
        "from chatkit_engine.i18n import message_language, translate\n"
        "print(message_language('de'), translate('This does not exist.', 'de'))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout == "en This does not exist.\n"
