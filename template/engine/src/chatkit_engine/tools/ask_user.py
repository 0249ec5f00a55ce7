"""The tool `ask_user`: asks questions in a form, with choices or free text."""

from typing import Annotated, Literal

from agents import RunContextWrapper, function_tool
from chatkit.types import (
    StructuredInput,
    StructuredInputFreeform,
    StructuredInputMultipleChoice,
    StructuredInputMultipleChoiceOption,
)
from pydantic import AfterValidator, BaseModel, Field

from chatkit_engine.assistant.context import TurnContext
from chatkit_engine.assistant.trust import read_only

MAX_QUESTIONS = 4
MAX_OPTIONS = 10
MAX_CHARACTERS = 500


def _check_text(text: str) -> str:
    # Not `max_length`: some providers refuse it in a tool's schema.
    if not 0 < len(text.strip()) <= MAX_CHARACTERS or "\x00" in text:
        raise ValueError(f"must have from 1 to {MAX_CHARACTERS} characters")
    return text.strip()


QuestionText = Annotated[str, AfterValidator(_check_text)]


class Choice(BaseModel):
    """A question with options to choose from; `multiple` lets the user choose several."""

    kind: Literal["choice"]
    question: QuestionText
    options: Annotated[list[QuestionText], Field(min_length=2, max_length=MAX_OPTIONS)]
    multiple: bool


class FreeText(BaseModel):
    """A question that the user answers in their own words."""

    kind: Literal["text"]
    question: QuestionText


Questions = Annotated[list[FreeText | Choice], Field(min_length=1, max_length=MAX_QUESTIONS)]


@read_only
@function_tool
async def ask_user(ctx: RunContextWrapper[TurnContext], questions: Questions) -> str:
    """Ask the user what you need to know to go on, when it cannot be known otherwise.

    Args:
        questions: From 1 to 4 questions, shown together as a form.
    """
    return await ctx.context.ask(
        *(_input(f"q{number}", question) for number, question in enumerate(questions, 1))
    )


def _input(input_id: str, question: FreeText | Choice) -> StructuredInput:
    if isinstance(question, FreeText):
        return StructuredInputFreeform(id=input_id, question=question.question)
    options = [
        StructuredInputMultipleChoiceOption(value=option)
        for option in dict.fromkeys(question.options)
    ]
    return StructuredInputMultipleChoice(
        id=input_id, question=question.question, options=options, multiple=question.multiple
    )
