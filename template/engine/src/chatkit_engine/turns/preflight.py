"""Checks everything that a request refers to, before the response begins.

The SDK looks things up when the status line (200) is sent already, so it can only break the stream.
Every 4xx comes from here or from the transaction that begins the turn.
"""

from collections.abc import Sequence

from chatkit.types import (
    AttachmentsDeleteReq,
    ChatKitReq,
    ClientToolCallItem,
    StructuredInputItem,
    ThreadItem,
    ThreadsAddClientToolOutputReq,
    ThreadsAddStructuredInputReq,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsCustomActionReq,
    ThreadsRetryAfterItemReq,
    ThreadsSyncCustomActionReq,
    UserMessageItem,
    WidgetItem,
)

from chatkit_engine.assistant.attachments import NO_ATTACHMENTS, Attachments
from chatkit_engine.context import RequestContext
from chatkit_engine.errors import BadRequest, Conflict
from chatkit_engine.i18n import _
from chatkit_engine.run import approvals
from chatkit_engine.run.runtime import Runtime
from chatkit_engine.run.thread_metadata import check_open
from chatkit_engine.store.chatkit_store import SqlStore


async def check(
    request: ChatKitReq,
    store: SqlStore,
    context: RequestContext,
    runtime: Runtime,
) -> None:
    """Check everything that the request refers to.

    Raises:
        NotFoundError: something does not exist or is not the user's.
        BadRequest: a value is out of range, or an item is of the wrong type.
        Conflict: the thread is locked or closed, or the item was answered already.
    """
    match request:
        case ThreadsCreateReq() | ThreadsAddUserMessageReq():
            attachment_ids = request.params.input.attachments
            await _check_attachments(attachment_ids, store, runtime.attachments, context)
        case AttachmentsDeleteReq():
            await store.load_attachment(request.params.attachment_id, context)
        case _:
            pass
    thread_id: str | None = getattr(request.params, "thread_id", None)
    if thread_id is not None:
        # For the NotFoundError.
        await store.load_thread(thread_id, context)
        await _check_item(request, thread_id, store, context)
    await _check_action(request, store, context, runtime)


async def _check_attachments(
    attachment_ids: Sequence[str],
    store: SqlStore,
    attachments: Attachments | None,
    context: RequestContext,
) -> None:
    if not attachment_ids:
        return
    if attachments is not None:
        await attachments.check(attachment_ids, context)
        return
    # Without the feature there may still be attachments from before. Unknown ids get a 404.
    await store.load_attachment(attachment_ids[0], context)
    raise BadRequest(NO_ATTACHMENTS)


async def _check_item(
    request: ChatKitReq, thread_id: str, store: SqlStore, context: RequestContext
) -> None:
    match request:
        case ThreadsRetryAfterItemReq():
            item = await store.load_item(thread_id, request.params.item_id, context)
            _expect(item, UserMessageItem, _("Only a user's message can be answered again."))
        case ThreadsAddStructuredInputReq():
            item = await store.load_item(thread_id, request.params.item_id, context)
            _expect(item, StructuredInputItem, _("This item does not ask for input."))
            if isinstance(item, StructuredInputItem) and item.status != "pending":
                raise Conflict(_("This input was given already."))
        case ThreadsCustomActionReq() | ThreadsSyncCustomActionReq():
            if request.params.item_id is not None:
                item = await store.load_item(thread_id, request.params.item_id, context)
                _expect(item, WidgetItem, _("Only a widget can send an action."))
        case _:
            pass


async def _check_action(
    request: ChatKitReq, store: SqlStore, context: RequestContext, runtime: Runtime
) -> None:
    match request:
        case ThreadsCustomActionReq() if request.params.action.type == approvals.DECIDE:
            decision = approvals.parse_decision(request.params.action)
            thread_id = request.params.thread_id
            await approvals.load_pending_call(decision, thread_id, store, context.user.id)
        case ThreadsCustomActionReq():
            runtime.actions.find_widget_action(request.params.action)
        case ThreadsAddClientToolOutputReq():
            call = await _pending_client_call(request.params.thread_id, store, context)
            runtime.client_tools.check(call.name, request.params.result)
        case ThreadsAddStructuredInputReq():
            runtime.check_length(request.params.input.model_dump_json())
        case ThreadsSyncCustomActionReq():
            check_open(await store.load_thread(request.params.thread_id, context))
            runtime.actions.find_sync_action(request.params.action)
        case _:
            pass


def _expect(item: ThreadItem, kind: type[ThreadItem], detail: str) -> None:
    if not isinstance(item, kind):
        raise BadRequest(detail)


async def _pending_client_call(
    thread_id: str, store: SqlStore, context: RequestContext
) -> ClientToolCallItem:
    newest = await store.load_thread_items(thread_id, None, 1, "desc", context)
    for item in newest.data:
        if isinstance(item, ClientToolCallItem) and item.status == "pending":
            return item
    raise Conflict(_("No client tool waits for its output in this thread."))
