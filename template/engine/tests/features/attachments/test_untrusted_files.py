"""Files may contain instructions, and so may their names: afterwards calls with effects wait."""

from typing import Any

import pytest
from features.attachments.files import PDF, PNG, sent, uploaded
from support.app import running_app
from support.strangers import (
    ORDER,
    PURSE,
    SHORT_HISTORY,
    pays_only_after_approval,
    stays_cautious,
)

from chatkit_engine.settings.core import Settings
from chatkit_engine.testing.fake_model_api import FakeModelApi
from chatkit_engine.testing.features import AddFeature

FILES = {
    "text": (ORDER.encode(), "letter.txt", "text/plain"),
    "a name": (b"nothing", f"{ORDER}.txt", "text/plain"),
    "a PDF": (PDF, "letter.pdf", "application/pdf"),
    "an image": (PNG, "letter.png", "image/png"),
}


@pytest.mark.parametrize(("content", "name", "type_"), FILES.values(), ids=FILES)
async def test_calls_wait_after_an_attachment(
    with_model: Settings,
    model_api: FakeModelApi,
    add_feature: AddFeature,
    content: bytes,
    name: str,
    type_: str,
) -> None:
    purse: Any = add_feature("purse", PURSE)
    short = with_model.model_copy(update={"history_max_tokens": SHORT_HISTORY})

    async with running_app(short) as app:
        first = sent("Look at this", await uploaded(app, content, name, type_))
        await pays_only_after_approval(app, model_api, purse, first)
        second = sent("Look at this", await uploaded(app, content, name, type_))
        await stays_cautious(app, model_api, purse, await app.ask(second))
