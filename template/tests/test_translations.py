"""Translations are shown as they are written. What is missing is a warning: it stays English."""

import warnings
from pathlib import Path

from chatkit_engine.testing import catalogues_of, translation_faults, translation_gaps

APP = Path(__file__).parents[1] / "app"


def test_every_translation_has_the_placeholders_of_its_text() -> None:
    catalogues = catalogues_of(APP)
    for gap in (gap for catalogue in catalogues for gap in translation_gaps(catalogue)):
        warnings.warn(gap, stacklevel=1)

    assert [fault for each in catalogues for fault in translation_faults(each)] == []
