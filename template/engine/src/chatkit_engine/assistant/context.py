"""The context of a turn, which tools, widget actions and guardrails get as `ctx.context`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Literal

from agents.tool_context import ToolContext
from chatkit.agents import AgentContext, ClientToolCall
from chatkit.errors import CustomStreamError
from chatkit.icons import IconName
from chatkit.store import NotFoundError
from chatkit.types import (
    ClientEffectEvent,
    ClientToolCallItem,
    CustomTask,
    HiddenContextItem,
    NoticeEvent,
    ProgressUpdateEvent,
    Source,
    StructuredInput,
    StructuredInputItem,
    ThreadItemDoneEvent,
    ThreadItemReplacedEvent,
    ThreadStreamEvent,
    WidgetItem,
)
from chatkit.widgets import WidgetRoot
from pydantic import Field, JsonValue, SkipValidation

from chatkit_engine.context import PageContext, RequestContext, User
from chatkit_engine.i18n import translate
from chatkit_engine.store.database import Database
from chatkit_engine.store.ids import new_id
from chatkit_engine.store.items import UNTRUSTED
from chatkit_engine.store.threads import mark_untrusted

MAX_WRONG_ARGUMENTS = 3
ASKED = "The user was asked. The answers follow."
CALLED = "The front end was called. Its output follows."
ONE_AT_A_TIME = "The front end was not called: it runs one tool at a time. Call it again later."
Level = Literal["info", "warning", "danger"]


class TurnContext(AgentContext[RequestContext]):
    """One turn's context: the user, the request, and what a turn can show besides text.

    Everything that its methods show is streamed to the client and stored with the turn.
    """

    database: SkipValidation[Database]
    question: str = ""
    sources: list[Source] = Field(default_factory=list[Source])
    input_items: list[StructuredInputItem] = Field(default_factory=list[StructuredInputItem])
    waits_for_user: bool = False
    wrong_arguments: int = 0
    tool_schemas: dict[str, dict[str, Any]] = Field(default_factory=dict[str, dict[str, Any]])
    model_should_answer: bool = False
    client_call_id: str = ""
    reads_untrusted: bool = False
    failure: SkipValidation[CustomStreamError | None] = None
    results: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])

    @property
    def gave_up(self) -> bool:
        """Whether the model called tools with invalid arguments three times."""
        return self.wrong_arguments >= MAX_WRONG_ARGUMENTS

    @property
    def ends_run(self) -> bool:
        """Whether the run ends after the tool calls that were just made."""
        return self.waits_for_user or self.gave_up or self.failure is not None

    @property
    def user(self) -> User:
        return self.request_context.user

    @property
    def page_context(self) -> PageContext | None:
        return self.request_context.page_context

    def translate(self, text: str) -> str:
        """Return one of the application's texts in the user's language."""
        return translate(text, self.request_context.language)

    async def progress(self, text: str, icon: IconName | None = None) -> None:
        """Show what is being done, until the next text or progress replaces it."""
        await self.stream(ProgressUpdateEvent(text=self.translate(text), icon=icon))

    @asynccontextmanager
    async def step(self, title: str, icon: IconName | None = None) -> AsyncGenerator[CustomTask]:
        """Show a step of the work in the turn's workflow, as loading until the block ends.

        Fields that the block sets on the task, for example `content`, are shown at the end.
        """
        loading = CustomTask(title=self.translate(title), icon=icon, status_indicator="loading")
        await self.add_workflow_task(loading)
        workflow = self.workflow_item
        index = len(workflow.workflow.tasks) - 1 if workflow else 0
        # A copy, because the event with the loading task may still be in the queue.
        task = loading.model_copy()
        try:
            yield task
        finally:
            task.status_indicator = "complete"
            # The SDK ends the workflow as soon as the model writes text, so it may be gone.
            if workflow is self.workflow_item:
                await self.update_workflow_task(task, index)
            elif workflow is not None:
                workflow.workflow.tasks[index] = task

    async def notice(self, level: Level, message: str, title: str | None = None) -> None:
        """Show the user a notice outside the conversation. `message` may be Markdown."""
        title = self.translate(title) if title else None
        await self.stream(NoticeEvent(level=level, message=self.translate(message), title=title))

    async def effect(self, name: str, **data: Any) -> None:
        """Have the front end do something (`onEffect`). It returns no result."""
        await self.stream(ClientEffectEvent(name=name, data=data))

    async def show(self, widget: WidgetRoot, copy_text: str | None = None) -> WidgetItem:
        """Show a widget, and return its item."""
        item = WidgetItem(**self._item_fields("wid"), widget=widget, copy_text=copy_text)
        await self.stream(ThreadItemDoneEvent(item=item))
        return item

    async def replace(
        self, item: WidgetItem, widget: WidgetRoot, copy_text: str | None = None
    ) -> None:
        """Replace a widget that was shown before."""
        changes = {"widget": widget, "copy_text": copy_text}
        await self.stream(ThreadItemReplacedEvent(item=item.model_copy(update=changes)))

    async def remember(self, text: str) -> None:
        """Add a text to the history that the model reads from now on and the user never sees."""
        item = HiddenContextItem(**self._item_fields("hid"), content=text)
        await self.stream(ThreadItemDoneEvent(item=item))

    async def ask(self, *questions: StructuredInput) -> str:
        """Ask the user questions with choices or free text. The turn ends, then waits for answers.

        Returns the text that the tool should return to the model.
        """
        self.input_items.append(
            StructuredInputItem(**self._item_fields("inp"), inputs=list(questions))
        )
        self.waits_for_user = True
        return ASKED

    def call_client(self, ctx: ToolContext[Any], name: str, **arguments: Any) -> str:
        """Have the front end run a tool (`onClientTool`). The turn ends, then waits for its output.

        `ctx` is the context of the tool that calls this: its call gets the output. Declare the
        front end's tool as a `ClientTool`. Returns the text that the tool should return to the
        model.
        """
        self.waits_for_user = True
        # ChatKit has one pending client tool call per thread.
        if self.client_tool_call is not None:
            return ONE_AT_A_TIME
        self.client_tool_call = ClientToolCall(name=name, arguments=arguments)
        self.client_call_id = ctx.tool_call_id
        return CALLED

    def pending_items(self) -> list[StructuredInputItem | ClientToolCallItem]:
        """Return the items that an action leaves for the user and the front end to answer.

        The client tool call is the last, because ChatKit looks for it at the end of the thread.
        """
        if (call := self.client_tool_call) is None:
            return [*self.input_items]
        item = ClientToolCallItem(
            **self._item_fields("tc"),
            call_id=new_id("call"),
            name=call.name,
            arguments=call.arguments,
        )
        return [*self.input_items, item]

    def cite(self, source: Source) -> str:
        """Return a mark such as `[1]`. If the model repeats it, the answer cites the source."""
        if source not in self.sources:
            self.sources.append(source)
        return f"[{self.sources.index(source) + 1}]"

    def mark_untrusted(self) -> None:
        """Note that the model reads a text from an untrusted source, for example a web page.

        From now on, tools that do more than read need the user's approval: see
        `chatkit_engine.assistant.trust`. The thread stays marked, because later answers may repeat
        the text after it has left the history.
        """
        self.reads_untrusted = True
        self.thread.metadata[UNTRUSTED] = True

    async def mark_input_untrusted(self) -> None:
        """Do the same for what the model reads by itself, without an event that the thread changed.

        The client would reload the thread, although nothing that it shows has changed.
        """
        if self.reads_untrusted:
            return
        self.reads_untrusted = True
        # The turn ends by itself if the thread was deleted in the meantime.
        with suppress(NotFoundError):
            await self.database.write(mark_untrusted, self.thread.id, self.user.id)

    def let_model_answer(self) -> None:
        """In an action: have the model answer when the action is done."""
        self.model_should_answer = True

    def close(self) -> None:
        """Unblock the queue's reader after a failed stream. Otherwise it would wait forever."""
        self._events.put_nowait(ProgressUpdateEvent(text=""))

    async def events_of(self, work: Coroutine[Any, Any, None]) -> AsyncIterator[ThreadStreamEvent]:
        """Run the coroutine, and yield the events that it streams in the meantime."""
        task = asyncio.create_task(work)
        try:
            while not task.done() or not self._events.empty():
                if event := await self._next_event(task):
                    yield event
            await task
        finally:
            # The client may have disconnected: do not leave the coroutine running.
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})

    async def _next_event(self, task: asyncio.Task[None]) -> Any:
        # The task may end without another event, so wait for both.
        event = asyncio.ensure_future(self._events.get())
        await asyncio.wait({event, task}, return_when=asyncio.FIRST_COMPLETED)
        if event.done():
            return event.result()
        event.cancel()
        return None

    def _item_fields(self, prefix: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {"id": new_id(prefix), "thread_id": self.thread.id, "created_at": now}
