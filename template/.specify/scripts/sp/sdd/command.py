"""Runs a script: its arguments, its answer as text or JSON, its errors in one line."""

import argparse
import json
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

Answer = dict[str, Any]
HOME = Path(__file__).absolute().parents[4]


class Refused(Exception):
    """The request cannot be carried out. The message is one line that says what to do."""


class Parser(argparse.ArgumentParser):
    """A parser with the arguments that every script has."""

    def __init__(self, description: str) -> None:
        super().__init__(description=description)
        self.add_argument("--json", action="store_true", help="answer with one JSON object")
        self.add_argument(
            "--root", type=Path, default=HOME, help="the folder that holds specs/ and history/"
        )

    def error(self, message: str) -> NoReturn:
        self.exit(1, f"error: {message}. `{self.prog} --help` shows the options.\n")


def run(parser: Parser, work: Callable[[argparse.Namespace], Answer]) -> NoReturn:
    """Do the work and exit: 0 if it succeeded, 1 if it was refused or found problems.

    An answer has a `text` for people. With `--json` everything else is printed.
    """
    _speak_utf8()
    arguments = parser.parse_args()
    try:
        answer = work(arguments)
    except (Refused, OSError) as error:
        _print({"error": str(error)} if arguments.json else {})
        sys.exit(f"error: {error}")
    text = answer.pop("text")
    _print(answer if arguments.json else {"": text})
    sys.exit(0 if answer.get("complete", True) else 1)


def text_of(value: str) -> str:
    """Return an argument's text. `@path` reads a file, `-` reads stdin."""
    if value == "-":
        return sys.stdin.read()
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except OSError as error:
        raise Refused(f"{value[1:]} cannot be read: {error.strerror}") from None


def _speak_utf8() -> None:
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8")


def _print(answer: Answer) -> None:
    if "" in answer:
        sys.stdout.write(f"{answer['']}\n")
    elif answer:
        sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=2) + "\n")
