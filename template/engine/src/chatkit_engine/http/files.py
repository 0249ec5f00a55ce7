"""Responses with stored files, and `/api/images`: generated images by signed links.

Images are shown inline, everything else is downloaded, because an HTML or SVG file that a user has
uploaded must not run as a page of this server.
"""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from chatkit.types import Attachment
from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from chatkit_engine.http.dependencies import BlobStore, Db, Id, LinkSigner, Token
from chatkit_engine.media_types import IMAGES
from chatkit_engine.run.images import PATH
from chatkit_engine.security.links import Grant
from chatkit_engine.store.files import Files

# A stored file must not run scripts.
POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"
UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9._ -]")
router = APIRouter(prefix=PATH, tags=["images"])


@router.get("/{image_id}", response_class=Response)
async def content(
    image_id: Id, links: LinkSigner, database: Db, blobs: BlobStore, token: Token = None
) -> Response:
    """Return a generated image. The thread's items contain the signed link to it."""
    grant = links.check(token, "download", image_id)
    return file_response(*await Files(database, blobs).read(grant.user_id, image_id), grant)


def file_response(
    attachment: Attachment, size: int, chunks: AsyncIterator[bytes], grant: Grant
) -> StreamingResponse:
    """Return a file's bytes. The client may cache them for as long as the link works."""
    kind = "inline" if attachment.mime_type in IMAGES else "attachment"
    headers = {
        "Content-Security-Policy": POLICY,
        "Cache-Control": f"private, max-age={grant.seconds}",
        "Content-Disposition": content_disposition(kind, attachment.name),
        "Content-Length": str(size),
    }
    return StreamingResponse(chunks, headers=headers, media_type=attachment.mime_type)


def content_disposition(kind: str, name: str) -> str:
    """Return the header's value, with an ASCII name and the exact name (RFC 6266)."""
    ascii_name = UNSAFE_IN_NAME.sub("_", name)
    return f"{kind}; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"
