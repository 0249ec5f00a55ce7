"""`/api/me/data`: export or erase all data of the user."""

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from chatkit_engine.http.dependencies import BlobStore, CurrentUser, Db, Erasers, FairRead
from chatkit_engine.store.user_data import erase_user, export_user, without_hidden_context

router = APIRouter(prefix="/api/me/data", tags=["user data"])
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Disposition": 'attachment; filename="export.jsonl"',
}


@router.get("", response_class=StreamingResponse, dependencies=[FairRead])
async def export(user: CurrentUser, database: Db, blobs: BlobStore) -> StreamingResponse:
    """Return all data of the user as JSON Lines."""
    lines = await export_user(database, blobs, user.id, without_hidden_context)
    return StreamingResponse(lines, media_type="application/jsonl", headers=HEADERS)


@router.delete("")
async def erase(
    user: CurrentUser, database: Db, blobs: BlobStore, erasers: Erasers
) -> dict[str, int]:
    """Delete all of the user's data for good; return the number of deleted rows by table.

    The database reuses the space of deleted rows later. Overwriting it at once would lock every
    user out, so only the command `erase --wipe` does that.
    """
    return await erase_user(database, blobs, user.id, erasers)
