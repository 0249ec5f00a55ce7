"""After any sequence of operations, the store answers like a model of lists in memory."""

import asyncio
from functools import partial
from typing import Any, cast

import hypothesis
import pytest
from chatkit.store import NotFoundError
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from support.sql import run_sql
from support.store import (
    ADA,
    EVE,
    make_attachment,
    make_item,
    make_thread,
    open_store,
)
from support.store_model import StoreModel

from chatkit_engine.context import RequestContext
from chatkit_engine.errors import BadRequest
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.chatkit_store import SqlStore
from chatkit_engine.store.tables import metadata

pytestmark = pytest.mark.slow

EFFORT = hypothesis.settings(max_examples=60, stateful_step_count=50)

users = st.sampled_from([ADA, ADA, ADA, EVE])
THREADS = ["thr_0", "thr_1", "thr_2"]
ITEMS = ["msg_0", "msg_1", "msg_2", "msg_3"]

thread_ids = st.sampled_from(THREADS)
item_ids = st.sampled_from(ITEMS)
attachment_ids = st.sampled_from(["atc_0", "atc_1"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
limits = st.integers(1, 4)
orders = st.sampled_from(["asc", "desc"])


class StoreMachine(RuleBasedStateMachine):
    """Does the same to the store and to its model, with few names, so that they meet often."""

    def __init__(self, runner: asyncio.Runner, store: SqlStore) -> None:
        super().__init__()
        self._runner = runner
        self._store = store
        self._model = StoreModel()

    def _do(self, method: str, *arguments: Any) -> None:
        expected = _outcome_of(lambda: getattr(self._model, method)(*arguments))
        outcome = _outcome_of(lambda: self._runner.run(getattr(self._store, method)(*arguments)))
        assert outcome == expected

    @initialize()
    def fill(self) -> None:
        for thread_id in THREADS:
            self._do("save_thread", make_thread(thread_id), ADA)
            for item_id in ITEMS:
                self._do("add_thread_item", thread_id, make_item(item_id, "", thread_id), ADA)

    @rule(thread_id=thread_ids, title=texts, user=users)
    def save_thread(self, thread_id: str, title: str, user: RequestContext) -> None:
        self._do("save_thread", make_thread(thread_id, title=title), user)

    @rule(thread_id=thread_ids, user=users)
    def load_thread(self, thread_id: str, user: RequestContext) -> None:
        self._do("load_thread", thread_id, user)

    @rule(thread_id=thread_ids, user=users)
    def delete_thread(self, thread_id: str, user: RequestContext) -> None:
        self._do("delete_thread", thread_id, user)

    @rule(limit=limits, after=st.none() | thread_ids, order=orders, user=users)
    def load_threads(self, limit: int, after: str | None, order: str, user: RequestContext) -> None:
        self._do("load_threads", limit, after, order, user)

    @rule(thread_id=thread_ids, item_id=item_ids, text=texts, user=users)
    def add_thread_item(
        self, thread_id: str, item_id: str, text: str, user: RequestContext
    ) -> None:
        self._do("add_thread_item", thread_id, make_item(item_id, text, thread_id), user)

    @rule(thread_id=thread_ids, item_id=item_ids, text=texts)
    def save_item(self, thread_id: str, item_id: str, text: str) -> None:
        self._do("save_item", thread_id, make_item(item_id, text, thread_id), ADA)

    @rule(thread_id=thread_ids, item_id=item_ids, user=users)
    def load_item(self, thread_id: str, item_id: str, user: RequestContext) -> None:
        self._do("load_item", thread_id, item_id, user)

    @rule(thread_id=thread_ids, item_id=item_ids, user=users)
    def delete_thread_item(self, thread_id: str, item_id: str, user: RequestContext) -> None:
        self._do("delete_thread_item", thread_id, item_id, user)

    @rule(thread_id=thread_ids, after=st.none() | item_ids, limit=limits, order=orders, user=users)
    def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, user: RequestContext
    ) -> None:
        self._do("load_thread_items", thread_id, after, limit, order, user)

    @rule(attachment_id=attachment_ids, thread_id=st.none() | thread_ids, name=texts, user=users)
    def save_attachment(
        self, attachment_id: str, thread_id: str | None, name: str, user: RequestContext
    ) -> None:
        attachment = make_attachment(attachment_id, thread_id=thread_id, name=name)
        self._do("save_attachment", attachment, user)

    @rule(attachment_id=attachment_ids, user=users)
    def load_attachment(self, attachment_id: str, user: RequestContext) -> None:
        self._do("load_attachment", attachment_id, user)

    @rule(attachment_id=attachment_ids, user=users)
    def delete_attachment(self, attachment_id: str, user: RequestContext) -> None:
        self._do("delete_attachment", attachment_id, user)

    @rule(
        thread_id=thread_ids,
        judged=st.lists(item_ids, min_size=1, max_size=2),
        kind=st.sampled_from(["positive", "negative"]),
        user=users,
    )
    def save_feedback(
        self, thread_id: str, judged: list[str], kind: str, user: RequestContext
    ) -> None:
        self._do("save_feedback", thread_id, judged, kind, user)

    def teardown(self) -> None:
        """Compare all that is left, and leave nothing."""
        try:
            for user in (ADA, EVE):
                self._do("load_threads", 99, None, "asc", user)
                for thread_id in THREADS:
                    self._do("load_thread_items", thread_id, None, 99, "desc", user)
            assert self._stored_feedback() == self._model.feedback
        finally:
            for table in metadata.tables:
                self._sql(f"DELETE FROM {table}")  # noqa: S608 (a constant)

    def _stored_feedback(self) -> dict[tuple[str, str], str]:
        rows = self._sql("SELECT thread_id, item_id, kind FROM feedback")
        return {(thread_id, item_id): kind for thread_id, item_id, kind in rows}

    def _sql(self, statement: str) -> list[tuple[Any, ...]]:
        return self._runner.run(self._store.database.write(run_sql, statement))


def _outcome_of(call: Any) -> Any:
    try:
        return call()
    except (NotFoundError, BadRequest) as error:
        return type(error)


def test_the_store_does_what_its_model_does(each_database: Settings) -> None:
    with asyncio.Runner() as runner:
        opened = open_store(each_database)
        machine = partial(StoreMachine, runner, runner.run(opened.__aenter__()))
        try:
            run_state_machine_as_test(cast(Any, machine), settings=EFFORT)
        finally:
            runner.run(opened.__aexit__(None, None, None))
