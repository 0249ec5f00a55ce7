"""Hides the developer's settings for documents from these tests."""

import pytest

from chatkit_engine.features.rag.settings import RagSettings


@pytest.fixture(autouse=True)
def _apart_from_documents(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    for name in RagSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
