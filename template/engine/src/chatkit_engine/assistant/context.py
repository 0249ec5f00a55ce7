"""What a tool, a widget's action and a guardrail find in `ctx.context`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Literal

from agents.tool_context import ToolContext
from chatkit.agents import AgentContext, ClientToolCall
from chatkit.errors import CustomStreamError
from chatkit.icons import IconName
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

MAX_WRONG_ARGUMENTS = 3
ASKED = "The user was asked. The answers follow."
CALLED = "The front end was called. Its answer follows."
ONE_AT_A_TIME = "The front end was not called: it runs one tool at a time. Call it again later."
Level = Literal["info", "warning", "danger"]


class TurnContext(AgentContext[RequestContext]):
    """One turn's context: who asks, and what the turn can show besides text.

    What its methods show is streamed to the client, and stored with the turn.
    """

    database: SkipValidation[Database]
    question: str = ""
    sources: list[Source] = Field(default_factory=list[Source])
    asked: list[StructuredInputItem] = Field(default_factory=list[StructuredInputItem])
    waits_for_user: bool = False
    wrong_arguments: int = 0
    model_goes_on: bool = False
    client_call_id: str = ""
    reads_untrusted: bool = False
    failure: SkipValidation[CustomStreamError | None] = None
    results: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])

    @property
    def gave_up(self) -> bool:
        """Whether the model has called a tool with wrong arguments too often."""
        return self.wrong_arguments >= MAX_WRONG_ARGUMENTS

    @property
    def ends_run(self) -> bool:
        """Whether the run ends with the tools that were called just now."""
        return self.waits_for_user or self.gave_up or self.failure is not None

    @property
    def user(self) -> User:
        return self.request_context.user

    @property
    def page_context(self) -> PageContext | None:
        return self.request_context.page_context

    def say(self, text: str) -> str:
        """Return one of our own texts in the user's language."""
        return translate(text, self.request_context.language)

    async def progress(self, text: str, icon: IconName | None = None) -> None:
        """Say what is being done, until the next text or progress takes its place."""
        await self.stream(ProgressUpdateEvent(text=self.say(text), icon=icon))

    @asynccontextmanager
    async def step(self, title: str, icon: IconName | None = None) -> AsyncGenerator[CustomTask]:
        """Show a step of the work in the turn's workflow, as under way until the block ends.

        What the block sets, such as `content`, is shown then.
        """
        begun = CustomTask(title=self.say(title), icon=icon, status_indicator="loading")
        await self.add_workflow_task(begun)
        workflow = self.workflow_item
        index = len(workflow.workflow.tasks) - 1 if workflow else 0
        task = begun.model_copy()  # the event that tells of the other one may not be sent yet
        try:
            yield task
        finally:
            task.status_indicator = "complete"
            if workflow is self.workflow_item:
                await self.update_workflow_task(task, index)
            elif workflow is not None:
                workflow.workflow.tasks[index] = task

    async def notice(self, level: Level, message: str, title: str | None = None) -> None:
        """Tell the user something beside the conversation; `message` may be Markdown."""
        title = self.say(title) if title else None
        await self.stream(NoticeEvent(level=level, message=self.say(message), title=title))

    async def effect(self, name: str, **data: Any) -> None:
        """Have the front end do something (`onEffect`). Nothing comes back."""
        await self.stream(ClientEffectEvent(name=name, data=data))

    async def show(self, widget: WidgetRoot, copy_text: str | None = None) -> WidgetItem:
        """Show a widget, and return its item."""
        item = WidgetItem(**self._new("wid"), widget=widget, copy_text=copy_text)
        await self.stream(ThreadItemDoneEvent(item=item))
        return item

    async def replace(
        self, item: WidgetItem, widget: WidgetRoot, copy_text: str | None = None
    ) -> None:
        """Show another widget in the place of one that was shown before."""
        changes = {"widget": widget, "copy_text": copy_text}
        await self.stream(ThreadItemReplacedEvent(item=item.model_copy(update=changes)))

    async def remember(self, text: str) -> None:
        """Tell the model something, in this turn and later ones, that the user does not see."""
        item = HiddenContextItem(**self._new("hid"), content=text)
        await self.stream(ThreadItemDoneEvent(item=item))

    async def ask(self, *questions: StructuredInput) -> str:
        """Ask the user questions with choices or free text. The turn ends, and waits for them.

        Returns what the tool is to tell the model.
        """
        self.asked.append(StructuredInputItem(**self._new("inp"), inputs=list(questions)))
        self.waits_for_user = True
        return ASKED

    def call_client(self, ctx: ToolContext[Any], name: str, **arguments: Any) -> str:
        """Have the front end run a tool (`onClientTool`). The turn ends, and waits for its output.

        `ctx` is the context of the tool that calls: the output becomes that call's. The client's
        tool is declared as a `ClientTool`. Returns what the tool is to tell the model.
        """
        self.waits_for_user = True
        if self.client_tool_call is not None:
            return ONE_AT_A_TIME
        self.client_tool_call = ClientToolCall(name=name, arguments=arguments)
        self.client_call_id = ctx.tool_call_id
        return CALLED

    def waiting(self) -> list[StructuredInputItem | ClientToolCallItem]:
        """Return what an action leaves to be answered, the front end's part last."""
        if (call := self.client_tool_call) is None:
            return [*self.asked]
        item = ClientToolCallItem(
            **self._new("tc"), call_id=new_id("call"), name=call.name, arguments=call.arguments
        )
        return [*self.asked, item]

    def cite(self, source: Source) -> str:
        """Return a mark such as `[1]`; where the model repeats it, the answer cites the source."""
        if source not in self.sources:
            self.sources.append(source)
        return f"[{self.sources.index(source) + 1}]"

    def distrust(self) -> None:
        """Say that the model is given a text of somebody else: see `chatkit_engine.assistant.trust`.

        The thread remembers it: later answers may repeat what is in the history no more.
        """
        self.reads_untrusted = True
        self.thread.metadata[UNTRUSTED] = True

    def let_model_answer(self) -> None:
        """In an action: have the model go on when the action is done."""
        self.model_goes_on = True

    def close(self) -> None:
        """Wake the queue's reader, whom a failed stream leaves behind: it would wait for ever."""
        self._events.put_nowait(ProgressUpdateEvent(text=""))

    async def events_of(self, work: Coroutine[Any, Any, None]) -> AsyncIterator[ThreadStreamEvent]:
        """Run the work, and yield what it streams meanwhile."""
        task = asyncio.create_task(work)
        try:
            while not task.done() or not self._events.empty():
                if event := await self._next_event(task):
                    yield event
            await task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})

    async def _next_event(self, task: asyncio.Task[None]) -> Any:
        waiting = asyncio.ensure_future(self._events.get())
        await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        waiting.cancel()
        return None

    def _new(self, prefix: str) -> dict[str, Any]:
        return {
            "id": new_id(prefix),
            "thread_id": self.thread.id,
            "created_at": datetime.now(UTC),
        }
