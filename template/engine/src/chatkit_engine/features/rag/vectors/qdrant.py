"""Keeps vectors on a Qdrant server, in one collection for each embedder and all owners."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from uuid import UUID, uuid5

import structlog
from qdrant_client import AsyncQdrantClient
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException
from qdrant_client.http.models import QueryResponse
from qdrant_client.models import (
    Condition,
    Distance,
    ExtendedPointId,
    FieldCondition,
    Filter,
    FilterSelector,
    HasIdCondition,
    KeywordIndexParams,
    KeywordIndexType,
    MatchAny,
    PointStruct,
    QueryRequest,
    VectorParams,
)

from chatkit_engine.features.rag.embeddings.embedder import Matrix
from chatkit_engine.features.rag.errors import DocumentsUnavailable
from chatkit_engine.features.rag.vectors.store import LENGTH, SHARED, Match, Vectors, short_name

log = structlog.stdlib.get_logger(__name__)
TIMEOUT_SECONDS = 10
BATCH = 256
MAX_NUMBERS = 100_000
POINTS = UUID("6f0f5d0e-6d0c-4f0e-9f53-0c5a4f2a7c11")

# The client raises the last two for an answer that is not from Qdrant, for example a proxy's.
FAILURES = (ApiException, QdrantException, ValueError, AssertionError)
HEX_DIGIT = "[0-9a-f]"
INDEXES = {
    "user_id": KeywordIndexParams(type=KeywordIndexType.KEYWORD, is_tenant=True),
    "document_id": KeywordIndexParams(type=KeywordIndexType.KEYWORD),
}


def connect(url: str, api_key: str | None) -> AsyncQdrantClient:
    """Return a client of the server. It does not connect yet."""
    headers = {"api-key": api_key} if api_key else {}
    return AsyncQdrantClient(
        url=url, headers=headers, timeout=TIMEOUT_SECONDS, check_compatibility=False
    )


class QdrantStore:
    """Searches a collection, which the first `add` creates.

    `collections` is the prefix of the collections' names, for every embedder. `place` identifies
    the server, for example by its URL.
    """

    def __init__(
        self,
        client: AsyncQdrantClient,
        embedder_name: str,
        dimensions: int,
        collections: str = "documents",
        place: str = "",
    ) -> None:
        self._client = client
        self._dimensions = dimensions
        self._collection = f"{collections}-{short_name(embedder_name, dimensions)}"
        self._ours = re.compile(re.escape(collections) + "-" + HEX_DIGIT * LENGTH)
        self.name = f"qdrant {sha256(place.encode()).hexdigest()[:LENGTH]} {collections}"
        self._exists = self._is_prepared = False
        self._preparing = asyncio.Lock()

    async def add(self, vectors: Vectors) -> None:
        """Add vectors, or replace those of the same chunks."""
        async with self._errors():
            await self._prepare()
            for batch in _batches(vectors):
                await self._client.upsert(self._collection, batch, wait=True)

    async def remove(self, user_id: str, chunk_ids: Sequence[str]) -> None:
        """Remove vectors of the owner."""
        async with self._errors():
            if not await self._has_collection():
                return
            for start in range(0, len(chunk_ids), BATCH):
                batch = chunk_ids[start : start + BATCH]
                ids: list[ExtendedPointId] = [_point_id(user_id, each) for each in batch]
                await self._delete(self._collection, _is_of(user_id), HasIdCondition(has_id=ids))

    async def remove_user(self, user_id: str) -> None:
        """Remove all vectors of the owner, from every embedder."""
        async with self._errors():
            found = await self._client.get_collections()
            for collection in found.collections:
                if self._ours.fullmatch(collection.name):
                    await self._delete(collection.name, _is_of(user_id))

    async def search(
        self,
        user_id: str,
        queries: Matrix,
        limit: int,
        document_ids: Sequence[str] | None = None,
    ) -> list[list[Match]]:
        """Return the nearest of the user's own and the shared vectors for each query."""
        conditions: list[Condition] = [_is_of(user_id, SHARED)]
        if document_ids is not None:
            conditions.append(_is_in(document_ids))
        chosen = Filter(must=conditions)
        requests = [
            QueryRequest(query=query, filter=chosen, limit=limit, with_payload=["chunk_id"])
            for query in queries.tolist()
        ]
        async with self._errors():
            if not await self._has_collection():
                return [[] for _ in requests]
            found = await self._client.query_batch_points(self._collection, requests)
        return [_matches(response) for response in found]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _delete(self, collection: str, *conditions: Condition) -> None:
        chosen = FilterSelector(filter=Filter(must=list(conditions)))
        await self._client.delete(collection, chosen, wait=True)

    async def _has_collection(self) -> bool:
        self._exists = self._exists or await self._client.collection_exists(self._collection)
        return self._exists

    async def _prepare(self) -> None:
        """Create the collection and its indexes if they are missing, once in each process."""
        async with self._preparing:
            if self._is_prepared:
                return
            if not await self._has_collection():
                await self._create_collection()
            for name, kind in INDEXES.items():
                await self._client.create_payload_index(self._collection, name, kind, wait=True)
            self._is_prepared = True

    async def _create_collection(self) -> None:
        parameters = VectorParams(size=self._dimensions, distance=Distance.COSINE)
        try:
            await self._client.create_collection(self._collection, parameters)
        except ApiException:
            # Another process may have created it first.
            if not await self._has_collection():
                raise

    @asynccontextmanager
    async def _errors(self) -> AsyncGenerator[None]:
        """Raise `DocumentsUnavailable` for any failure of the server or the network.

        The collection is looked up again afterwards, because it may be gone.
        """
        try:
            yield
        except FAILURES as error:
            self._exists = self._is_prepared = False
            log.exception("Qdrant does not answer")
            raise DocumentsUnavailable from error


def _batches(vectors: Vectors) -> Iterator[list[PointStruct]]:
    """Split vectors into batches that are small enough not to block the event loop."""
    size = min(BATCH, max(1, MAX_NUMBERS // vectors.matrix.shape[1]))
    for start in range(0, len(vectors.chunk_ids), size):
        rows = slice(start, start + size)
        pairs = zip(vectors.chunk_ids[rows], vectors.matrix[rows].tolist(), strict=True)
        yield [_point(vectors, chunk_id, row) for chunk_id, row in pairs]


def _point(vectors: Vectors, chunk_id: str, row: list[float]) -> PointStruct:
    owner, document_id = vectors.user_id, vectors.document_id
    payload = {"user_id": owner, "document_id": document_id, "chunk_id": chunk_id}
    return PointStruct(id=_point_id(owner, chunk_id), vector=row, payload=payload)


def _point_id(user_id: str, chunk_id: str) -> str:
    """Return an id that depends on the owner too, so that owners cannot overwrite each other."""
    return str(uuid5(uuid5(POINTS, user_id), chunk_id))


def _is_of(*owners: str) -> FieldCondition:
    return FieldCondition(key="user_id", match=MatchAny(any=list(owners)))


def _is_in(document_ids: Sequence[str]) -> FieldCondition:
    return FieldCondition(key="document_id", match=MatchAny(any=list(document_ids)))


def _matches(response: QueryResponse) -> list[Match]:
    return [Match(str((point.payload or {})["chunk_id"]), point.score) for point in response.points]
