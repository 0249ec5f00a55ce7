"""Errors with an HTTP status and a code, and the handlers that send them (RFC 9457)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, cast

from chatkit.store import NotFoundError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import Scope

from chatkit_engine.i18n import _, message_language, translate

MEDIA_TYPE = "application/problem+json"
MAX_REPORTED = 20
MAX_FIELD = 200

# Pydantic's message for this error contains the input, at any length.
UNKNOWN_TAG = "union_tag_invalid"
UNKNOWN_KIND = "Input is of a kind that is not known"

# Starlette's messages, and ours for them.
MESSAGES = {
    "Not Found": _("There is nothing at this path."),
    "Method Not Allowed": _("This path does not support this method."),
}


class AppError(Exception):
    """An error that a client may see. Its message says what to do about it."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, detail: str, **members: object) -> None:
        """Set the message, and additional members of the problem body."""
        super().__init__(detail)
        self.detail = detail
        self.members = members


class BadRequest(AppError):
    """The request is malformed."""


class Unauthenticated(AppError):
    """The request has no valid credentials."""

    status = 401
    code = "unauthenticated"
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class Forbidden(AppError):
    """The request is not allowed, for example from this origin."""

    status = 403
    code = "forbidden"


class NotFound(AppError):
    """The resource does not exist or belongs to another user. A client cannot tell which."""

    status = 404
    code = "not_found"


class RequestTimeout(AppError):
    """The client took too long to send its request."""

    status = 408
    code = "request_timeout"


class Conflict(AppError):
    """The resource is not in the state that the request requires."""

    status = 409
    code = "conflict"


class ThreadBusy(Conflict):
    """Another turn is running in the thread."""

    code = "thread_busy"

    def __init__(self) -> None:
        super().__init__(_("An answer is still being written in this thread. Try again shortly."))


class RequestRunning(Conflict):
    """A request with this idempotency key is already being answered."""

    code = "request_running"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}

    def __init__(self) -> None:
        super().__init__(_("This request is already being answered. Try again shortly."))


class TooManyTurns(AppError):
    """The user has more turns running and waiting than allowed."""

    status = 429
    code = "too_many_turns"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}

    def __init__(self) -> None:
        super().__init__(
            _("Too many of your answers are being written at once. Wait for one, then try again.")
        )


class ContentTooLarge(AppError):
    """The body, or a part of it, is larger than allowed."""

    status = 413
    code = "content_too_large"


class StorageFull(ContentTooLarge):
    """The user has stored as much as allowed."""

    code = "storage_full"

    def __init__(self) -> None:
        super().__init__(_("Your storage is full. Delete old conversations, then try again."))


class UnsupportedMediaType(AppError):
    """The body has a media type that this route does not accept."""

    status = 415
    code = "unsupported_media_type"


class Unprocessable(AppError):
    """The request is well formed, but a value in it is invalid."""

    status = 422
    code = "invalid_request"


class KeyReused(Unprocessable):
    """The idempotency key was used with a different request."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__(_("This Idempotency-Key was used for another request. Send a new key."))


class TooManyRequests(AppError):
    """The user does too much at the same time, or too often."""

    status = 429
    code = "too_many_requests"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class ModelFailed(AppError):
    """The model gave no complete answer. The part that it gave is kept in the thread."""

    status = 502
    code = "model_failed"


class Unavailable(AppError):
    """The service cannot handle the request at the moment."""

    status = 503
    code = "unavailable"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}


class NoPublicUrl(AppError):
    """Links to files would begin with the host of the request, and a client can name any host."""

    status = 421
    code = "public_url_missing"

    def __init__(self) -> None:
        super().__init__(_("Links to files need the server's address. Set PUBLIC_URL."))


class ModelBusy(Unavailable):
    """The model cannot handle the request at the moment."""

    code = "model_busy"

    def __init__(self) -> None:
        super().__init__(_("The model is busy. Try again in a moment."))


class RefusedBody(HTTPException):
    """An `AppError` from within the reading of a body, where FastAPI passes on nothing else."""

    def __init__(self, error: AppError) -> None:
        super().__init__(error.status, error.detail)
        self.error = error


def problem(
    request: HTTPConnection | Scope,
    status: int,
    detail: str,
    *,
    code: str,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> JSONResponse:
    """Return a problem body (RFC 9457), with the detail in the request's language."""
    scope = request.scope if isinstance(request, HTTPConnection) else request
    language = message_language(Headers(scope=scope).get("accept-language", ""))
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": translate(detail, language),
        **members,
    }
    in_language = {"Content-Language": language, "Vary": "Accept-Language"}
    return JSONResponse(
        body, status, headers={**(headers or {}), **in_language}, media_type=MEDIA_TYPE
    )


def describe_errors(errors: Sequence[Any]) -> list[dict[str, str]]:
    """Reduce pydantic's errors to field and message. They never contain the input."""
    return [
        {
            "field": _printable(".".join(str(part) for part in error["loc"])),
            "message": UNKNOWN_KIND if error["type"] == UNKNOWN_TAG else str(error["msg"]),
        }
        for error in errors[:MAX_REPORTED]
    ]


def _printable(value: str) -> str:
    """Cut a client's text and replace lone surrogates, which cannot be encoded as UTF-8."""
    return value[:MAX_FIELD].encode("utf-8", "replace").decode()


Handler = Callable[[Request, Exception], Awaitable[JSONResponse]]


def add_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(AppError, _releasing(_app_error))
    app.add_exception_handler(RefusedBody, _releasing(_refused_body))
    app.add_exception_handler(NotFoundError, _releasing(_not_found))
    app.add_exception_handler(RequestValidationError, _releasing(_invalid_request))
    app.add_exception_handler(HTTPException, _releasing(_http_error))
    app.add_exception_handler(ClientDisconnect, _releasing(_disconnected))
    app.add_exception_handler(Exception, _unexpected)


def _releasing(handler: Handler) -> Handler:
    """Free what the error's traceback holds, such as the body of the request.

    Frames of `contextlib` are in the traceback and hold the error, so that only a garbage
    collection would free them, and those are rare (`cli/serving.py`).
    """

    async def handle(request: Request, error: Exception) -> JSONResponse:
        response = await handler(request, error)
        each: BaseException | None = error
        while each is not None:
            each.__traceback__ = None
            each = each.__cause__ or each.__context__
        return response

    return handle


async def _app_error(request: Request, error: Exception) -> JSONResponse:
    error = cast(AppError, error)
    return problem(
        request,
        error.status,
        error.detail,
        code=error.code,
        headers=error.headers,
        **error.members,
    )


async def _refused_body(request: Request, error: Exception) -> JSONResponse:
    return await _app_error(request, cast(RefusedBody, error).error)


async def _not_found(request: Request, error: Exception) -> JSONResponse:
    return problem(request, 404, _("This does not exist."), code=NotFound.code)


async def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    errors = describe_errors(cast(RequestValidationError, error).errors())
    detail = _("Some values in the request are invalid; `errors` lists them.")
    return problem(request, 422, detail, code=Unprocessable.code, errors=errors)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    error = cast(HTTPException, error)
    name = HTTPStatus(error.status_code).name.lower()
    code = ContentTooLarge.code if error.status_code == ContentTooLarge.status else name
    detail = cast(object, error.detail)
    text = detail if isinstance(detail, str) else str(detail)
    text = MESSAGES.get(text, text)
    return problem(request, error.status_code, text, code=code, headers=error.headers)


async def _disconnected(request: Request, error: Exception) -> JSONResponse:
    return problem(request, 400, _("The request body is incomplete."), code=BadRequest.code)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    detail = _("Internal error. The server's log has the details under this request's id.")
    return problem(request, 500, detail, code="internal_error")
