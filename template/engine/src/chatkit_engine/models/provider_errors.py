"""What a provider's error means, in words for the operator."""

import socket
import ssl
from collections.abc import Iterator
from typing import Any, cast

from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError

from chatkit_engine.errors import ModelBusy

TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500
REFUSED_KEY = "the provider refused the key"
NO_CREDIT = "the provider's account has no credit left"
UNKNOWN_MODEL = "the provider does not know the model, or LLM_BASE_URL is wrong"
# Only the operator can change what these say.
BY_STATUS = {
    401: REFUSED_KEY,
    402: NO_CREDIT,
    403: f"{REFUSED_KEY}: it may not use this model, or not from here",
    404: UNKNOWN_MODEL,
    405: UNKNOWN_MODEL,
    407: "the proxy refused the connection: check HTTPS_PROXY",
}
# Codes in the bodies of OpenAI, Google, Groq and OpenRouter, some with a status 400 or 429.
BY_CODE = {
    "invalid_api_key": REFUSED_KEY,
    "api_key_invalid": REFUSED_KEY,
    "api key not valid": REFUSED_KEY,
    "insufficient_quota": NO_CREDIT,
    "billing_hard_limit_reached": NO_CREDIT,
    "model_not_found": UNKNOWN_MODEL,
    "model_decommissioned": UNKNOWN_MODEL,
    "deploymentnotfound": UNKNOWN_MODEL,
}
# The first one counts: a certificate is refused by closing the connection.
NETWORK_PROBLEMS: dict[type[BaseException], str] = {
    ssl.SSLError: "its certificate is not accepted; check LLM_BASE_URL and SSL_CERT_FILE",
    socket.gaierror: "its host is not known; check LLM_BASE_URL and the network",
    ConnectionError: "check LLM_BASE_URL, the network and HTTPS_PROXY",
}
MAX_SAID = 300


def refusal(error: BaseException) -> str:
    """Return why the provider refuses every request, or an empty string if it may answer others."""
    if not isinstance(error, APIError):
        return ""
    said = f"{error.message} {error.body}".lower()
    reasons = (reason for code, reason in BY_CODE.items() if code in said)
    return next(reasons, None) or BY_STATUS.get(status_of(error), "")


def explain(error: BaseException) -> str:
    """Return what an error of a provider means; empty if it is another error."""
    match error:
        case ModelBusy():
            return "the model failed too often, and is not asked for now"
        case APIConnectionError():
            return _network_problem(error)
        case APIError():
            return refusal(error) or _failure(status_of(error))
        case _:
            return ""


def _failure(status: int) -> str:
    if status == TOO_MANY_REQUESTS:
        return "the provider limits the requests"
    what = "fails" if status >= SERVER_ERROR else "refused the request"
    return f"the provider {what} with status {status}"


def said_by(error: BaseException) -> str:
    """Return the provider's own message, in one short line for the log."""
    message = error.message if isinstance(error, APIError) else str(error)
    return " ".join(message.split())[:MAX_SAID]


def status_of(error: APIError) -> int:
    """Return the status of a response, or the one in an error event of its stream."""
    if isinstance(error, APIStatusError):
        return error.status_code
    body = error.body
    code = cast(dict[str, Any], body).get("code") if isinstance(body, dict) else None
    return code if isinstance(code, int) else SERVER_ERROR


def _network_problem(error: APIConnectionError) -> str:
    """Return what to check, by the errors below: the client calls some of them a timeout."""
    causes = list(_causes(error))
    for kind, fix in NETWORK_PROBLEMS.items():
        if any(isinstance(cause, kind) for cause in causes):
            return f"the provider cannot be reached: {fix}"
    if isinstance(error, APITimeoutError):
        return "the provider does not answer in time"
    return "the provider cannot be reached: check LLM_BASE_URL and the network"


def _causes(error: BaseException) -> Iterator[BaseException]:
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__cause__ or each.__context__
