"""The routes `/api/attachments`: uploads, and file content by signed links."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from chatkit_engine.errors import BadRequest, NoPublicUrl, Unprocessable
from chatkit_engine.features.attachments.messages import PATH, MessageAttachments
from chatkit_engine.features.attachments.uploads import Uploads
from chatkit_engine.http.dependencies import CurrentUser, Id, Token, UploadingUser, request_context
from chatkit_engine.http.files import file_response
from chatkit_engine.i18n import _
from chatkit_engine.security.links import Links
from chatkit_engine.store.attachments import details_of
from chatkit_engine.store.files import Files

FIELD = "file"
MAX_FIELDS = 10
FORM_ADVICE = _("Send one file as multipart/form-data, in the field '{field}'.", field=FIELD)
FORM: dict[str, Any] = {
    "type": "object",
    "properties": {FIELD: {"type": "string", "format": "binary"}},
    "required": [FIELD],
}
UPLOAD_DOCS = {"requestBody": {"content": {"multipart/form-data": {"schema": FORM}}}}


class StoredFile(BaseModel):
    """An uploaded file. `size` is in bytes. `url` is a link that expires."""

    id: str
    name: str
    mime_type: str
    size: int
    url: str


def create_router(
    uploads: Uploads, messages: MessageAttachments, links: Links, files: Files
) -> APIRouter:
    router = APIRouter(prefix=PATH, tags=["attachments"])

    @router.post("", response_class=Response, openapi_extra=UPLOAD_DOCS)
    async def upload(request: Request, user: UploadingUser) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Upload a file for a later message."""
        context = request_context(request, user)
        # Before the file is stored, because the answer has links to it.
        if context.base_url is None:
            raise NoPublicUrl
        with uploads.one_more(user.id):
            async with _form_file(request) as form:
                attachment = await uploads.add(
                    user, form.file, form.filename or "", form.content_type or ""
                )
        linked = messages.with_links(attachment, context)
        body = linked.model_dump_json(exclude_none=True, context={"exclude_metadata": True})
        return Response(body, media_type="application/json")

    @router.get("/{attachment_id}")
    async def describe(attachment_id: Id, request: Request, user: CurrentUser) -> StoredFile:  # pyright: ignore[reportUnusedFunction]
        """Return a file's details, with a link to its content."""
        attachment = (await uploads.load(user.id, attachment_id)).attachment
        return StoredFile(
            id=attachment.id,
            name=attachment.name,
            mime_type=attachment.mime_type,
            size=details_of(attachment).size,
            url=messages.download_link(attachment_id, request_context(request, user)),
        )

    @router.put("/{attachment_id}/content", status_code=204)
    async def receive(attachment_id: Id, request: Request, token: Token = None) -> None:  # pyright: ignore[reportUnusedFunction]
        """Receive the content of a file that ChatKit's `attachments.create` announced."""
        grant = links.check(token, "upload", attachment_id)
        await uploads.receive(grant.user_id, attachment_id, request.stream())

    @router.get("/{attachment_id}/content", response_class=Response)
    async def content(attachment_id: Id, token: Token = None) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Return a file's content. Browsers show images, and download everything else."""
        grant = links.check(token, "download", attachment_id)
        return file_response(*await files.read(grant.user_id, attachment_id), grant)

    return router


@asynccontextmanager
async def _form_file(request: Request) -> AsyncGenerator[UploadFile]:
    """Parse the form and yield its only file. A large file is kept on disk.

    Raises:
        BadRequest: the body is not such a form.
        Unprocessable: the form has no file.
    """
    try:
        form = await request.form(max_files=1, max_fields=MAX_FIELDS)
    except HTTPException as error:
        if error.status_code != BadRequest.status:
            raise
        raise BadRequest(FORM_ADVICE) from None
    try:
        file = form.get(FIELD)
        if not isinstance(file, UploadFile):
            raise Unprocessable(FORM_ADVICE)
        yield file
    finally:
        await form.close()
