"""`/api/me/data`: export or erase all data of the user."""

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from chatkit_engine.http.dependencies import BlobStore, CurrentUser, Db, Erasers
from chatkit_engine.store.user_data import erase_user, export_user, without_hidden_context

router = APIRouter(prefix="/api/me/data", tags=["user data"])
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Disposition": 'attachment; filename="export.jsonl"',
}


@router.get("", response_class=StreamingResponse)
async def export(user: CurrentUser, database: Db, blobs: BlobStore) -> StreamingResponse:
    """Return all data of the user as JSON Lines."""
    lines = await export_user(database, blobs, user.id, without_hidden_context)
    return StreamingResponse(lines, media_type="application/jsonl", headers=HEADERS)


@router.delete("")
async def erase(
    user: CurrentUser, database: Db, blobs: BlobStore, erasers: Erasers
) -> dict[str, int]:
    """Delete all data of the user permanently. Returns the number of deleted rows by table.

    A small SQLite file is also wiped at once, because it still contains the deleted bytes. Wiping
    a large database would block all users for a while, so that is left to the command `erase`.
    """
    # Deleted rows leave their bytes in the file until it is rewritten.
    wipe = database.is_quickly_wiped
    return await erase_user(database, blobs, user.id, erasers, wipe=wipe)
