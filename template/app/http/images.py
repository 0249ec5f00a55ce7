"""`/api/images`: what the assistant has generated, by signed links."""

from fastapi import APIRouter, Response

from app.chat.images import PATH
from app.http.dependencies import BlobStore, Db, Id, LinkSigner, Token
from app.http.files import file_response
from app.store.files import Files

router = APIRouter(prefix=PATH, tags=["images"])


@router.get("/{image_id}", response_class=Response)
async def content(
    image_id: Id, links: LinkSigner, database: Db, blobs: BlobStore, token: Token = None
) -> Response:
    """Return an image. The thread's items have the link to it."""
    grant = links.check(token, "download", image_id)
    return file_response(*await Files(database, blobs).read(grant.user_id, image_id), grant)
