"""Ingesting a folder embeds what changed, deletes what is gone, and loses nothing."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from features.rag.pdfs import make_pdf
from qdrant_client import AsyncQdrantClient
from sqlalchemy import Connection, func, select
from support.app import make_settings

from chatkit_engine.context import User
from chatkit_engine.features.rag import document_reader, ingest, rows
from chatkit_engine.features.rag.components import create_embedder
from chatkit_engine.features.rag.document_reader import DocumentReader
from chatkit_engine.features.rag.embeddings.embedder import CachedEmbedder, Embedder
from chatkit_engine.features.rag.embeddings.local import LocalEmbedder
from chatkit_engine.features.rag.errors import EmbeddingsUnavailable
from chatkit_engine.features.rag.files import MAX_BYTES, NO_NAME
from chatkit_engine.features.rag.ingest import Ingest, Report, WouldWipe
from chatkit_engine.features.rag.rows import Document
from chatkit_engine.features.rag.search import CachedSearch, DocumentSearch, Question, Ranking
from chatkit_engine.features.rag.settings import RagSettings
from chatkit_engine.features.rag.tables import MIGRATIONS, chunks
from chatkit_engine.features.rag.vectors.embedded import EmbeddedStore
from chatkit_engine.features.rag.vectors.qdrant import QdrantStore
from chatkit_engine.features.rag.vectors.store import SHARED, Vectors, VectorStore
from chatkit_engine.settings.core import Settings
from chatkit_engine.store.connect import open_database
from chatkit_engine.store.database import Database
from chatkit_engine.store.migrate import CORE, upgrade
from chatkit_engine.testing.fake_model_api import FakeModelApi, Reply
from chatkit_engine.testing.waiting import eventually

LOCAL_QDRANT = "ignore:Payload indexes have no effect:UserWarning"
DOCUMENTS = Path(__file__).with_name("documents")
LONG = "\n\n".join(f"## Part {number}\n\nParagraph number {number}." for number in range(300))


@pytest.fixture
async def database(each_database: Settings) -> AsyncGenerator[Database]:
    async with aclosing(open_database(each_database)) as database:
        await upgrade(database, [CORE, MIGRATIONS])
        yield database


@pytest.fixture
async def embedder(model_api: FakeModelApi) -> AsyncGenerator[Embedder]:
    """A model over the wire: what it is asked for is in `model_api.embeddings`."""
    core = make_settings(openai_api_key="sk", openai_base_url=model_api.url, llm_max_retries=0)
    async with aclosing(create_embedder(RagSettings(), core)) as embedder:
        yield embedder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    _write(folder / "one" / "a.md", "# A\n\nAll about apples.\n\n# B\n\nAll about bees.")
    _write(folder / "one" / "b.txt", "All about cars.")
    _write(folder / "two.html", "<h1>D</h1><p>All about dogs.")
    return folder


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _store(database: Database, embedder: Embedder) -> VectorStore:
    return EmbeddedStore(database, embedder.name, embedder.dimensions)


def _ingest(database: Database, embedder: Embedder, user: str = SHARED) -> Ingest:
    return Ingest(database, embedder, _store(database, embedder), user)


async def _documents(database: Database, user: str = SHARED) -> dict[str, Document]:
    found = await database.read(rows.list_documents, user, "docs")
    return {document.source: document for document in found}


async def _texts(database: Database, source: str, user: str = SHARED) -> list[str]:
    """Return a document's chunks that can be found, in order."""
    document = (await _documents(database, user))[source]
    ids = await database.read(rows.chunk_ids, user, document.id)
    passages = await database.read(rows.load_passages, user, ids)
    ordered = sorted(passages.values(), key=lambda passage: passage.position)
    assert [passage.position for passage in ordered] == list(range(len(ordered)))
    return [passage.text for passage in ordered]


async def _staged(database: Database) -> int:
    counted = select(func.count()).select_from(chunks).where(chunks.c.staged)
    return await database.read(lambda connection: connection.scalar(counted) or 0)


async def _find(database: Database, embedder: Embedder, query: str, user: str = "ada") -> str:
    """Return the text that is nearest to the query, as the user finds it."""
    vectors = await embedder.embed([query])
    [matches] = await _store(database, embedder).search(user, vectors, 1)
    passages = await database.read(rows.load_passages, user, [matches[0].chunk_id])
    return passages[matches[0].chunk_id].text


async def _count(store: VectorStore, embedder: Embedder) -> int:
    """Return how many vectors are in the store."""
    [matches] = await store.search("ada", await embedder.embed(["any"]), 100)
    return len(matches)


async def test_documents_are_found_after_they_were_ingested(
    database: Database, embedder: Embedder, folder: Path
) -> None:
    report = await _ingest(database, embedder).run(folder, "docs")

    assert (report.added, report.chunks, report.embedded) == (3, 4, 4)
    assert (report.refused, report.deleted) == ([], 0)
    documents = await _documents(database)
    assert documents.keys() == {"one/a.md", "one/b.txt", "two.html"}
    assert (documents["one/a.md"].chapter, documents["one/a.md"].lesson) == ("one", "a")
    assert documents["two.html"].chapter == ""
    assert await _texts(database, "one/a.md") == ["All about apples.", "All about bees."]
    assert await _find(database, embedder, "about bees.") == "All about bees."


async def test_a_second_run_does_nothing(
    database: Database, embedder: Embedder, folder: Path, model_api: FakeModelApi
) -> None:
    await _ingest(database, embedder).run(folder, "docs")
    before = await database.read(rows.versions, SHARED)

    report = await _ingest(database, embedder).run(folder, "docs")

    assert (report.unchanged, report.added, report.changed, report.embedded) == (3, 0, 0, 0)
    assert len(model_api.embeddings.texts) == 4
    assert await database.read(rows.versions, SHARED) == before


async def test_only_changed_chunks_are_embedded(
    database: Database, embedder: Embedder, folder: Path, model_api: FakeModelApi
) -> None:
    await _ingest(database, embedder).run(folder, "docs")
    _write(folder / "one" / "a.md", "# New\n\nFirst.\n\n# A\n\nAll about apples.\n\n# B\n\nBats.")

    report = await _ingest(database, embedder).run(folder, "docs")

    assert (report.changed, report.unchanged, report.embedded) == (1, 2, 3)
    assert await _texts(database, "one/a.md") == ["First.", "All about apples.", "Bats."]
    changed = "# A\n\nAll about apples.\n\n# B\n\nBats, bats, bats.\n\n# New\n\nFirst."
    _write(folder / "one" / "a.md", f"---\ntitle: New\n---\n{changed}")

    await _ingest(database, embedder).run(folder, "docs")

    assert model_api.embeddings.texts[-1] == "New › B\nBats, bats, bats."


async def test_a_changed_anchor_is_stored_without_embedding(
    database: Database, embedder: Embedder, folder: Path, model_api: FakeModelApi
) -> None:
    (folder / "guide.pdf").write_bytes(make_pdf(["One", "Two"], title="Guide"))
    await _ingest(database, embedder).run(folder, "docs")
    (folder / "guide.pdf").write_bytes(make_pdf(["Zero", "One", "Two"], title="Guide"))

    report = await _ingest(database, embedder).run(folder, "docs")

    assert report.embedded == 1
    assert model_api.embeddings.texts[-1] == "Guide\nZero"
    document = (await _documents(database))["guide.pdf"]
    ids = await database.read(rows.chunk_ids, SHARED, document.id)
    passages = (await database.read(rows.load_passages, SHARED, ids)).values()
    assert {passage.text: passage.anchor for passage in passages} == {
        "Zero": "page=1",
        "One": "page=2",
        "Two": "page=3",
    }


async def test_documents_whose_files_are_gone_are_deleted(
    database: Database, embedder: Embedder, folder: Path
) -> None:
    await _ingest(database, embedder).run(folder, "docs")
    (folder / "two.html").unlink()

    report = await _ingest(database, embedder).run(folder, "docs")

    assert (report.deleted, report.unchanged) == (1, 2)
    assert (await _documents(database)).keys() == {"one/a.md", "one/b.txt"}
    assert await _find(database, embedder, "about dogs.") != "All about dogs."


async def test_a_file_that_was_renamed_is_not_embedded_again(
    database: Database, embedder: Embedder, folder: Path
) -> None:
    await _ingest(database, embedder).run(folder, "docs")
    (folder / "one" / "a.md").rename(folder / "apples.md")

    report = await _ingest(database, embedder).run(folder, "docs")

    assert (report.added, report.deleted, report.embedded) == (1, 1, 0)
    assert await _texts(database, "apples.md") == ["All about apples.", "All about bees."]
    assert await _find(database, embedder, "about bees.") == "All about bees."


async def test_an_emptied_document_is_no_longer_found(
    database: Database, embedder: Embedder, folder: Path
) -> None:
    await _ingest(database, embedder).run(folder, "docs")
    _write(folder / "one" / "a.md", "")

    report = await _ingest(database, embedder).run(folder, "docs")

    assert (report.changed, report.refused) == (1, [])
    assert await _texts(database, "one/a.md") == []


async def test_the_next_run_continues_an_interrupted_one(
    database: Database, embedder: Embedder, folder: Path, model_api: FakeModelApi
) -> None:
    _write(folder / "long.md", LONG)
    model_api.embeddings.script(Reply(), Reply(), Reply(hangs=True))
    interrupted = asyncio.create_task(_ingest(database, embedder).run(folder, "docs"))

    async def is_in_the_middle() -> bool:
        return len(model_api.embeddings.requests) == 3

    await eventually(is_in_the_middle)
    interrupted.cancel()
    with pytest.raises(asyncio.CancelledError):
        await interrupted
    first_two = model_api.embeddings.requests[:2]
    embedded: list[str] = [text for request in first_two for text in request["input"]]
    assert await _staged(database) == len(embedded) > 0
    assert "long.md" not in {d.source for d in await database.read(rows.list_readable, "ada")}

    report = await _ingest(database, embedder).run(folder, "docs")

    assert report.refused == []
    assert report.embedded == 304 - len(embedded)
    afterwards = model_api.embeddings.texts[-report.embedded :]
    assert max(Counter(embedded + afterwards).values()) == 1
    assert len(await _texts(database, "long.md")) == 300
    assert await _staged(database) == 0


async def test_the_old_text_is_found_until_the_new_one_is_complete(
    database: Database, embedder: Embedder, folder: Path, model_api: FakeModelApi
) -> None:
    _write(folder / "long.md", "# Old\n\nOld words.")
    await _ingest(database, embedder).run(folder, "docs")
    _write(folder / "long.md", LONG)
    model_api.embeddings.script(Reply(), Reply(status=500))

    with pytest.raises(EmbeddingsUnavailable):
        await _ingest(database, embedder).run(folder, "docs")

    document = (await _documents(database))["long.md"]
    ids = await database.read(rows.chunk_ids, SHARED, document.id)
    found = await database.read(rows.load_passages, SHARED, ids)
    assert [passage.text for passage in found.values()] == ["Old words."]
    assert len(ids) > 1


async def test_another_embedder_embeds_everything_again(
    database: Database, embedder: Embedder, folder: Path
) -> None:
    await _ingest(database, embedder).run(folder, "docs")

    local = LocalEmbedder()
    report = await _ingest(database, local).run(folder, "docs")

    assert (report.changed, report.embedded) == (3, 4)
    assert await _texts(database, "one/a.md") == ["All about apples.", "All about bees."]
    assert await _find(database, local, "bees") == "All about bees."
    waiting = await database.read(rows.count_elsewhere, f"embedded {local.name}")
    assert waiting == 0


@pytest.mark.parametrize("times", range(3))
async def test_two_concurrent_runs_leave_each_document_complete(
    each_database: Settings, database: Database, folder: Path, tmp_path: Path, times: int
) -> None:
    other = tmp_path / "other" / "docs"
    for number in range(10):
        same = f"# Same\n\nThis is number {number}."
        _write(folder / f"{number}.md", f"{same}\n\n# Left\n\nLeft {number}.")
        _write(other / f"{number}.md", f"{same}\n\n# Right\n\nRight {number}.")
    local = LocalEmbedder()

    async with aclosing(open_database(each_database)) as second:
        await asyncio.gather(
            _ingest(database, local).run(folder, "docs"),
            _ingest(second, local).run(other, "docs"),
            _ingest(database, local).run(folder, "docs"),
        )

    for number in range(10):
        texts = await _texts(database, f"{number}.md")
        assert texts[0] == f"This is number {number}."
        assert texts[1:] in ([f"Left {number}."], [f"Right {number}."])
    report = await _ingest(database, local).run(folder, "docs")
    assert report.refused == []
    assert await _texts(database, "3.md") == ["This is number 3.", "Left 3."]
    assert await _staged(database) == 0


async def test_one_bad_file_does_not_stop_the_others(
    database: Database, embedder: Embedder, folder: Path
) -> None:
    (folder / "latin.md").write_bytes("Größe".encode("latin-1"))
    (folder / "scan.pdf").write_bytes(make_pdf([""]))
    (folder / "huge.txt").write_bytes(b"x" * (MAX_BYTES + 1))
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / "Makefile").write_text("all:")

    report = await _ingest(database, embedder).run(folder, "docs")

    assert report.added == 3
    reasons = dict(report.refused)
    assert "UTF-8" in reasons["latin.md"]
    assert "OCR" in reasons["scan.pdf"]
    assert "20 MB" in reasons["huge.txt"]
    assert report.left_out == {".png": 1, "Makefile": 1}


async def test_an_unreadable_file_keeps_its_old_document(
    database: Database, embedder: Embedder, folder: Path
) -> None:
    await _ingest(database, embedder).run(folder, "docs")
    (folder / "two.html").write_bytes(b"\xff")

    report = await _ingest(database, embedder).run(folder, "docs")

    assert [source for source, _ in report.refused] == ["two.html"]
    assert await _texts(database, "two.html") == ["All about dogs."]


async def test_hidden_files_and_links_out_of_the_folder_are_skipped(
    database: Database, embedder: Embedder, folder: Path, tmp_path: Path
) -> None:
    _write(tmp_path / "secret.md", "The secret.")
    _write(tmp_path / "elsewhere" / "deep.md", "Deep.")
    _write(folder / ".git" / "note.md", "Hidden.")
    _write(folder / ".draft.md", "Hidden.")
    (folder / "link.md").symlink_to(tmp_path / "secret.md")
    (folder / "inside.md").symlink_to(folder / "one" / "b.txt")
    (folder / "away").symlink_to(tmp_path / "elsewhere")
    (folder / "loop.md").symlink_to(folder / "loop.md")
    (folder / "nowhere.md").symlink_to(folder / "nothing.md")
    os.mkfifo(folder / "pipe.md")

    await _ingest(database, embedder).run(folder, "docs")

    found = (await _documents(database)).keys()
    assert found == {"one/a.md", "one/b.txt", "two.html", "inside.md"}


async def test_a_file_name_that_is_not_utf8_is_refused(
    database: Database, embedder: Embedder, folder: Path
) -> None:
    _write(folder / os.fsdecode(b"bad\xff.md"), "text")

    report = await _ingest(database, embedder).run(folder, "docs")

    assert report.refused == [("bad?.md", NO_NAME)]


async def test_a_folder_without_the_documents_does_not_wipe_the_collection(
    database: Database, embedder: Embedder, folder: Path, tmp_path: Path
) -> None:
    ingest = _ingest(database, embedder)
    await ingest.run(folder, "docs")
    other = tmp_path / "other" / "docs"
    _write(other / "else.md", "Something else.")
    empty = tmp_path / "empty"
    empty.mkdir()

    for wrong in (other, empty):
        with pytest.raises(WouldWipe, match="--replace"):
            await ingest.run(wrong, "docs")
    assert len(await _documents(database)) == 3
    report: Report = await ingest.carry_out(await ingest.plan(other, "docs"))

    assert (report.added, report.deleted) == (1, 3)
    assert (await _documents(database)).keys() == {"else.md"}


async def test_a_single_file_deletes_nothing(
    database: Database, embedder: Embedder, folder: Path
) -> None:
    await _ingest(database, embedder).run(folder, "docs")
    _write(folder.parent / "extra.md", "Something more.")

    report = await _ingest(database, embedder).run(folder.parent / "extra.md", "docs")

    assert (report.added, report.deleted) == (1, 0)
    assert len(await _documents(database)) == 4


async def test_documents_belong_to_a_user_or_are_shared(
    database: Database, embedder: Embedder, folder: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own" / "docs"
    _write(own / "one" / "a.md", "Private words of Ada.")

    await _ingest(database, embedder).run(folder, "docs")
    await _ingest(database, embedder, "ada").run(own, "docs")
    await _ingest(database, embedder).run(folder, "docs")

    assert await _texts(database, "one/a.md", "ada") == ["Private words of Ada."]
    assert await _texts(database, "one/a.md") == ["All about apples.", "All about bees."]
    assert await _find(database, embedder, "Private words", "ada") == "Private words of Ada."
    assert await _find(database, embedder, "Private words", "eve") != "Private words of Ada."


async def test_collections_are_independent(
    database: Database, embedder: Embedder, folder: Path
) -> None:
    await _ingest(database, embedder).run(folder, "docs")
    _write(folder / "one" / "a.md", "Changed.")

    report = await _ingest(database, embedder).run(folder / "one", "other")

    assert (report.added, report.deleted) == (2, 0)
    assert await _texts(database, "one/a.md") == ["All about apples.", "All about bees."]


@pytest.mark.filterwarnings(LOCAL_QDRANT)
async def test_vectors_move_to_another_store_without_embedding(
    database: Database, embedder: Embedder, folder: Path
) -> None:
    await _ingest(database, embedder).run(folder, "docs")
    qdrant = QdrantStore(AsyncQdrantClient(":memory:"), embedder.name, embedder.dimensions)

    report = await Ingest(database, embedder, qdrant, SHARED).run(folder, "docs")

    assert (report.changed, report.embedded) == (3, 0)
    assert await _count(qdrant, embedder) == 4
    assert (await Ingest(database, embedder, qdrant, SHARED).run(folder, "docs")).unchanged == 3
    await qdrant.aclose()


@pytest.mark.filterwarnings(LOCAL_QDRANT)
async def test_a_store_has_what_the_documents_have(
    database: Database, embedder: Embedder, folder: Path
) -> None:
    qdrant = QdrantStore(AsyncQdrantClient(":memory:"), embedder.name, embedder.dimensions)
    ingest = Ingest(database, embedder, qdrant, SHARED)
    await ingest.run(folder, "docs")
    (folder / "two.html").unlink()
    _write(folder / "one" / "a.md", "# A\n\nAll about apples.")

    await ingest.run(folder, "docs")

    assert await _count(qdrant, embedder) == 2
    await qdrant.aclose()


async def test_chunks_are_looked_up_by_the_index_on_documents(settings: Settings) -> None:
    """By the owner's index, one document would cost as much as all of them."""

    def plan(connection: Connection) -> str:
        of_one = "SELECT id FROM rag_chunks WHERE user_id = '' AND document_id = 'doc_1'"
        return str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {of_one}").all())

    async with aclosing(open_database(settings)) as database:
        await upgrade(database, [CORE, MIGRATIONS])
        assert "document_id=?" in await database.read(plan)


class SearchedStore(QdrantStore):
    """A store that is asked for what it is about to be given."""

    search_now: Callable[[], Coroutine[Any, Any, object]]

    async def add(self, vectors: Vectors) -> None:
        await self.search_now()
        await super().add(vectors)


@pytest.mark.filterwarnings(LOCAL_QDRANT)
async def test_a_cached_miss_ends_when_the_store_has_the_document(
    database: Database, tmp_path: Path
) -> None:
    _write(tmp_path / "kettles.md", "Descaling the kettles.")
    local, user = LocalEmbedder(), User(id="ada")
    store = SearchedStore(AsyncQdrantClient(":memory:"), local.name, local.dimensions)
    asking = CachedEmbedder(local, seconds=300)
    search = DocumentSearch(database, asking, store, Ranking(0.1))
    cached = CachedSearch(database, search, RagSettings())
    question = Question.of(["descale a kettle"])
    store.search_now = lambda: cached.search(user, question)

    await Ingest(database, local, store, SHARED).run(tmp_path, "docs")

    assert len(await cached.search(user, question)) == 1
    await store.aclose()


@pytest.mark.parametrize(
    ("limit", "page"),
    [
        ("cpu_seconds", "<div>" * 60_000 + "x" + "</div>" * 60_000),
        ("memory_bytes", "<b>x</b>" * 400_000),
    ],
)
async def test_only_the_file_that_costs_too_much_is_refused(
    database: Database,
    embedder: Embedder,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    page: str,
) -> None:
    (folder / "two.html").write_text(page)
    small = {"cpu_seconds": 1, "memory_bytes": 150 * 1024 * 1024}
    limits = replace(document_reader.LIMITS, **{limit: small[limit]})
    monkeypatch.setattr(ingest, "DocumentReader", partial(DocumentReader, limits))

    report = await _ingest(database, embedder).run(folder, "docs")

    assert report.refused == [("two.html", document_reader.TOO_COSTLY)]
    assert report.added == 2


async def test_progress_is_reported_up_to_the_last_document(
    database: Database, embedder: Embedder, folder: Path
) -> None:
    (folder / "bad.md").write_bytes(b"\xff")
    told: list[tuple[float, int]] = []

    await _ingest(database, embedder).run(
        folder, "docs", lambda done, total, source: told.append((done, total))
    )

    assert told[-1] == (4, 4)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


async def test_the_documents_for_tests_are_ingested(database: Database) -> None:
    report = await _ingest(database, LocalEmbedder()).run(DOCUMENTS, "docs")

    assert report.refused == []
    assert report.added == 15
