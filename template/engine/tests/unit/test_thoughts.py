"""Thoughts in a tag are separated from the answer, however it is cut into pieces."""

import pytest

from chatkit_engine.models.thoughts import Thoughts, without_thoughts
from chatkit_engine.run.titles import clean_title

# What a model writes, its thoughts, and its answer.
ANSWERS = [
    ("<think>Hm. A greeting.</think>Hello!", "Hm. A greeting.", "Hello!"),
    ("<think>\nHm.\n</think>\n\nHello!", "Hm.\n", "Hello!"),
    ("<Thinking>Hm.</THINKING> Hello!", "Hm.", "Hello!"),
    ("\n\n<thought>Hm.</thought>Hello!", "Hm.", "Hello!"),
    ("<reasoning>1 < 2 </think> no</reasoning>Yes", "1 < 2 </think> no", "Yes"),
    ("<think></think>Hello!", "", "Hello!"),
    ("<think>This never ends", "This never ends", ""),
    ("Hello <think>this is text</think>!", "", "Hello <think>this is text</think>!"),
    ("<thin air>", "", "<thin air>"),
    ("<thi", "", "<thi"),
    ("  Hello", "", "  Hello"),
    ("", "", ""),
    ("<html>", "", "<html>"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(("written", "thoughts", "text"), ANSWERS)
def test_thoughts_are_taken_out(written: str, thoughts: str, text: str, size: int) -> None:
    splitter = Thoughts()
    pieces = [written[start : start + size] for start in range(0, len(written), size)]

    taken = [*map(splitter.take, pieces), splitter.finish()]

    assert "".join(thought for thought, _text in taken).lstrip() == thoughts
    assert "".join(text for _thought, text in taken).lstrip() == text.lstrip()


def test_text_passes_at_once() -> None:
    splitter = Thoughts()

    assert splitter.take("Hel") == ("", "Hel")
    assert splitter.take("lo <think>") == ("", "lo <think>")


@pytest.mark.parametrize(
    "written",
    [
        "<think>The user greets me.\nA title:</think>A friendly greeting",
        "The user greets me.</think>\nA friendly greeting",
        "```\nA friendly greeting\n```",
        '```text\n"A friendly greeting."\n```',
        "Title: A friendly greeting",
        "**Title:** A friendly greeting",
        "# A friendly greeting",
        "Sure! Here is a title for the conversation:\n\n**A friendly greeting**",
        "<title>A friendly greeting</title>",
        "«A friendly greeting»",
        "Titel: „A friendly greeting“",
        "<think>x</think>\n<title>\nA friendly greeting\n</title>\nI hope this helps.",
    ],
)
def test_a_title_is_what_is_left(written: str) -> None:
    assert clean_title(written) == "A friendly greeting"


@pytest.mark.parametrize("title", ["Learning C#", "¿Qué hora es?", "天气如何", "Why? Because!"])
def test_a_title_keeps_its_own_signs(title: str) -> None:
    assert clean_title(title) == title


def test_thoughts_that_never_end_are_no_title() -> None:
    assert clean_title("<think>The user wants") == ""
    assert without_thoughts("Only an answer") == "Only an answer"
