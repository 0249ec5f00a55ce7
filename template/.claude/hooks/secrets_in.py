"""Finds files with secrets or users' data, and shell commands that would read one.

This prevents accidents. It is not a sandbox: a determined agent can work around it.
"""

import os
import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import takewhile
from pathlib import Path

from hook import ROOT

SECRET = re.compile(
    r"\.env(rc|\..+)?|.*\.(pem|key|p12|pfx|jks|keystore)|id_(rsa|dsa|ecdsa|ed25519)"
    r"|\.(netrc|pgpass|pypirc|npmrc)|credentials(\.json)?",
    re.IGNORECASE,
)
SAMPLE = re.compile(r"\.env\.(example|sample|template)", re.IGNORECASE)
SECRET_FOLDERS = {".ssh", ".aws", ".gnupg"}
DATA = ROOT / "data"

SEPARATORS = {";", "&", "&&", "|", "||", "(", ")", "{", "}", "do", "then", "else", "if", "!"}
DELIMITERS = re.compile(r"[\s=:,@(){}\"'`$<>|;&]+")
ASSIGNMENT = re.compile(r"\w+=.*")
NAMES_ONLY = {"ls", "test", "[", "[[", "touch"}
RUNS_TEXT = {"eval", "bash", "sh", "zsh", "awk", "sed", "perl", "ssh", "xargs"}
TEXT_FLAGS = {"-c", "-e", "-exec", "--eval", "--command"}
GREPS = {"grep", "egrep", "fgrep"}
EXCLUDE = "--exclude"


def is_secret(text: str, cwd: Path) -> bool:
    """Return whether a path, or what it links to, is a secret."""
    named = Path(os.path.normpath(cwd / Path(text.replace("\\", "/")).expanduser()))
    return any(_is_secret_path(path) for path in {named, Path(os.path.realpath(named))})


def secret_in(command: str, cwd: Path) -> str | None:
    """Return the first secret that a shell command would read, or None."""
    program, before = "", ""
    for word in _words(command):
        if word in SEPARATORS:
            program = ""
        elif not program and not ASSIGNMENT.fullmatch(word):
            program = Path(word).name or word
        elif before != ">>" and program not in NAMES_ONLY and not word.startswith(EXCLUDE):
            for part in _paths(word, program, before):
                if _reads(part, program, cwd):
                    return part
        before = word
    return _grepped(command, cwd)


def _is_secret_path(path: Path) -> bool:
    if SAMPLE.fullmatch(path.name):
        return False
    if SECRET.fullmatch(path.name) or path == DATA or DATA in path.parents:
        return True
    return not SECRET_FOLDERS.isdisjoint(path.parts)


def _words(command: str) -> list[str]:
    lexer = shlex.shlex(command.replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:
        return re.sub(r"([;&|()<>]+)", r" \1 ", command.replace("\n", " ; ")).split()


def _paths(word: str, program: str, before: str) -> Iterator[str]:
    """Yield the parts of a word that may be paths. Only code is split: a sentence names no file."""
    yield word
    is_run = before in TEXT_FLAGS or program in RUNS_TEXT or "$(" in word or "`" in word
    if is_run or not re.search(r"\s", word):
        yield from filter(None, DELIMITERS.split(word))


def _reads(part: str, program: str, cwd: Path) -> bool:
    pattern = part.rpartition("/")[2]
    if pattern.startswith(".") and fnmatch(".env", pattern):
        return True
    is_place = "/" in part or program in {"cd", "pushd"}
    path = Path(os.path.normpath(cwd / part))
    return is_secret(part, cwd) if is_place or path != DATA else False


def _grepped(command: str, cwd: Path) -> str | None:
    """Return the `.env` that a recursive grep would read."""
    words = _words(command)
    for start, word in enumerate(words):
        rest = list(takewhile(lambda word: word not in SEPARATORS, words[start + 1 :]))
        is_recursive = any(re.fullmatch(r"-\w*[rR]\w*|--recursive", flag) for flag in rest)
        if word not in GREPS or not is_recursive or any(EXCLUDE in flag for flag in rest):
            continue
        _pattern, *places = [word for word in rest if not word.startswith("-")] or [""]
        for place in places or ["."]:
            if (cwd / place / ".env").exists():
                return f"{place}/.env"
    return None
