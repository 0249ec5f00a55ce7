"""`/api/threads`: list, read, rename, delete and search the user's threads."""

from typing import Annotated, Literal

from chatkit.types import (
    ItemsListParams,
    ItemsListReq,
    NonStreamingReq,
    ThreadDeleteParams,
    ThreadGetByIdParams,
    ThreadListParams,
    ThreadsDeleteReq,
    ThreadsGetByIdReq,
    ThreadsListReq,
    ThreadsUpdateReq,
    ThreadUpdateParams,
)
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, StringConstraints

from chatkit_engine.context import Text
from chatkit_engine.http.dependencies import (
    Chat,
    CurrentUser,
    Cursor,
    Db,
    FairRead,
    Id,
    Limit,
    request_context,
)
from chatkit_engine.store.search import SearchHit, search_messages
from chatkit_engine.turns.limits import MAX_TITLE

router = APIRouter(prefix="/api/threads", tags=["threads"])
Order = Literal["asc", "desc"]
SearchText = Annotated[Text, Query(min_length=1, max_length=500)]


class Rename(BaseModel):
    title: Annotated[Text, StringConstraints(min_length=1, max_length=MAX_TITLE)]


class ChatKitRequests:
    """Handles a ChatKit request for the user of this HTTP request."""

    def __init__(self, request: Request, user: CurrentUser, chat: Chat) -> None:
        self._request, self._user, self._chat = request, user, chat

    async def __call__(self, chatkit_request: NonStreamingReq) -> Response:
        context = request_context(self._request, self._user)
        body = await self._chat.answer(chatkit_request, context)
        return Response(body, media_type="application/json")


Requests = Annotated[ChatKitRequests, Depends()]


@router.get("", response_class=Response, dependencies=[FairRead])
async def list_threads(
    handle: Requests, limit: Limit = 20, after: Cursor = None, order: Order = "desc"
) -> Response:
    """List the user's threads, newest first, a page at a time."""
    params = ThreadListParams(limit=limit, after=after, order=order)
    return await handle(ThreadsListReq(params=params))


# Defined before `/{thread_id}`, which would match it too.
@router.get("/search", dependencies=[FairRead])
async def search_threads(
    q: SearchText, user: CurrentUser, database: Db, limit: Annotated[int, Query(ge=1, le=50)] = 10
) -> list[SearchHit]:
    """Find messages in the user's own threads, best match first."""
    return await search_messages(database, user.id, q, limit)


@router.get("/{thread_id}", response_class=Response, dependencies=[FairRead])
async def get_thread(thread_id: Id, handle: Requests) -> Response:
    """Return a thread with its first items."""
    return await handle(ThreadsGetByIdReq(params=ThreadGetByIdParams(thread_id=thread_id)))


@router.get("/{thread_id}/items", response_class=Response, dependencies=[FairRead])
async def list_items(
    thread_id: Id,
    handle: Requests,
    limit: Limit = 20,
    after: Cursor = None,
    order: Order = "desc",
) -> Response:
    """List a thread's items, newest first, a page at a time."""
    params = ItemsListParams(thread_id=thread_id, limit=limit, after=after, order=order)
    return await handle(ItemsListReq(params=params))


@router.patch("/{thread_id}", response_class=Response)
async def rename_thread(thread_id: Id, body: Rename, handle: Requests) -> Response:
    """Give a thread a title."""
    params = ThreadUpdateParams(thread_id=thread_id, title=body.title)
    return await handle(ThreadsUpdateReq(params=params))


@router.delete("/{thread_id}", status_code=204)
async def delete_thread(thread_id: Id, handle: Requests) -> None:
    """Delete a thread and everything in it."""
    await handle(ThreadsDeleteReq(params=ThreadDeleteParams(thread_id=thread_id)))
