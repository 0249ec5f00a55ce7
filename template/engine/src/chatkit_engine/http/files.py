"""How stored files go out: images to be shown, everything else to be saved.

`/api/images`: what the assistant has generated, by signed links."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from chatkit.types import Attachment
from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from chatkit_engine.http.dependencies import BlobStore, Db, Id, LinkSigner, Token
from chatkit_engine.run.images import PATH
from chatkit_engine.security.links import Grant
from chatkit_engine.store.attachments import IMAGES
from chatkit_engine.store.files import Files

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Referrer-Policy": "no-referrer",
}

NOT_PLAIN = re.compile(r"[^A-Za-z0-9._ -]")


def file_response(
    attachment: Attachment, size: int, chunks: AsyncIterator[bytes], grant: Grant
) -> StreamingResponse:
    """Return a file's bytes, which may be cached as long as its link works."""
    kind = "inline" if attachment.mime_type in IMAGES else "attachment"
    headers = SAFE_HEADERS | {
        "Cache-Control": f"private, max-age={grant.seconds}",
        "Content-Disposition": content_disposition(kind, attachment.name),
        "Content-Length": str(size),
    }
    return StreamingResponse(chunks, headers=headers, media_type=attachment.mime_type)


def content_disposition(kind: str, name: str) -> str:
    """Return the header's value, with the name in ASCII and as it is (RFC 6266)."""
    plain = NOT_PLAIN.sub("_", name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


router = APIRouter(prefix=PATH, tags=["images"])


@router.get("/{image_id}", response_class=Response)
async def content(
    image_id: Id, links: LinkSigner, database: Db, blobs: BlobStore, token: Token = None
) -> Response:
    """Return an image. The thread's items have the link to it."""
    grant = links.check(token, "download", image_id)
    return file_response(*await Files(database, blobs).read(grant.user_id, image_id), grant)
