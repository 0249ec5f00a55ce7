"""Finds what a shell command would read: a secret that it names, or a folder that has one.

It reads the command as the shell would, but it is not the shell: see the paragraph on what it
cannot stop in `docs/development.md`. What it cannot follow, it refuses.
"""

import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from glob import iglob
from itertools import islice, pairwise
from pathlib import Path

from hook import ROOT
from secrets_in import DATA, NAMES, expand_braces, holds_secret, is_secret, matches_secret

SEPARATORS = {";", "&", "&&", "|", "||", "|&", "(", ")", ";;"}
KEYWORDS = {"{", "}", "do", "then", "else", "elif", "if", "while", "until", "!", "done", "fi"}
DELIMITERS = re.compile(r"[\s=:,@(){}\"'`<>|;&\[\]]+")
VARIABLE = re.compile(r"\$(\{[^}]*\}|\w+|\(.*?\))|`[^`]*`")
RANGE = re.compile(r"\{[^{},]*\.\.[^{},]*\}")
WILD = re.compile(r"[*?\[]")
ASSIGNMENT = re.compile(r"\w+=.*", re.DOTALL)
NAMES_ONLY = {"ls", "test", "[", "[[", "touch"}
# Their arguments, and what they read from a pipe or a here-document, are programs.
INTERPRETERS = re.compile(
    r"(python|pypy|node|ruby|perl|php|deno|bun|lua|osascript|pwsh|powershell|(ba|da|k|z|fi)?sh"
    r"|g?awk|sed|eval|ssh|xargs|parallel)[\d.]*"
)
TEXT_FLAGS = {"-c", "-e", "-exec", "-execdir", "--eval", "--command", "<<<"}
EXCLUDE = re.compile(r"--exclude(-dir)?=(.*)")
OWN_OUTPUTS = {"export", "token"}
MODULES = {"http.server", "zipfile", "tarfile"}
MAX_FOUND = 1_000

# Programs that read whole folders, and the arguments with which they read hidden files too.
ALWAYS = re.compile(".*", re.DOTALL)
READ_FOLDERS = {
    "cp": re.compile(r"-\w*[rRa]\w*|--recursive|--archive"),
    "scp": re.compile(r"-\w*r\w*"),
    "rsync": ALWAYS,
    "tar": re.compile(r"-?\w*[cru]\w*|--create|--append|--update"),
    "bsdtar": re.compile(r"-?\w*[cru]\w*|--create"),
    "zip": re.compile(r"-\w*r\w*|--recurse-paths"),
    "7z": re.compile(r"a|u"),
    "grep": re.compile(r"-\w*[rR]\w*|--(dereference-)?recursive|--directories=recurse"),
    "egrep": re.compile(r"-\w*[rR]\w*|--(dereference-)?recursive"),
    "fgrep": re.compile(r"-\w*[rR]\w*|--(dereference-)?recursive"),
    "rgrep": ALWAYS,
    "ugrep": ALWAYS,
    "ack": ALWAYS,
    "rg": re.compile(r"-\w*[u.]\w*|--unrestricted|--no-ignore.*"),
    "ag": re.compile(r"-\w*[uaU]\w*|--unrestricted|--all-.*|--hidden|--skip-vcs-ignores"),
    "diff": re.compile(r"-\w*r\w*|--recursive"),
    "find": re.compile(r"-(exec|ok)(dir)?|-fprint.*"),
    "fd": re.compile(r"-\w*[xXHIu]\w*|--exec.*|--hidden|--no-ignore|--unrestricted"),
    "fdfind": re.compile(r"-\w*[xXHIu]\w*|--exec.*|--hidden|--no-ignore|--unrestricted"),
}
COMPOSE = {"compose", "docker-compose", "podman-compose"}
COMPOSE_PRINTS = {"config", "convert"}
# With these flags git reads files that it ignores.
GIT_READS = {
    "add": re.compile(r"-\w*f\w*|--force"),
    "stash": re.compile(r"-\w*a\w*|--all"),
    "grep": re.compile(r"--no-index|--untracked"),
    "diff": re.compile(r"--no-index"),
}
MOUNTS = {"-v", "--volume", "--mount"}


@dataclass(frozen=True)
class Step:
    """One program with its arguments. `feeds` means that its output goes into another one."""

    words: list[str]
    feeds: bool

    @property
    def program(self) -> str:
        named = (word for word in self.words if not ASSIGNMENT.fullmatch(word))
        return Path(next(named, "")).name

    def runs(self, name: str) -> list[str] | None:
        """Return the arguments of a program, also behind `sudo`, `env` or `uv run`."""
        names = [Path(word).name for word in self.words]
        return self.words[names.index(name) + 1 :] if name in names else None


def secret_in(command: str, cwd: Path) -> str | None:
    """Return the first secret, or folder with one, that a shell command would read; or None.

    Raises:
        ValueError: the command cannot be followed.
    """
    steps = list(_steps(command))
    runs_text = any(INTERPRETERS.fullmatch(Path(w).name) for step in steps for w in step.words)
    for step in steps:
        found = _named(step, cwd, runs_text) or _in_folders(step, cwd) or _printed(step)
        if found:
            return found
        if step.program in {"cd", "pushd"} and len(step.words) > 1:
            cwd = cwd / os.path.expanduser(step.words[1])  # noqa: PTH111 (it never fails)
    return None


def _steps(command: str) -> Iterator[Step]:
    words: list[str] = []
    for word in [*_words(command), ";"]:
        if word in SEPARATORS:
            if words:
                yield Step(words, word.startswith("|") and word != "||")
            words = []
        elif words or word not in KEYWORDS:
            words.append(word)


def _words(command: str) -> list[str]:
    text = command.replace("\\\n", "").replace("\n", " ; ")
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:
        return re.sub(r"([;&|()<>]+)", r" \1 ", text).split()


def _named(step: Step, cwd: Path, runs_text: bool) -> str | None:
    """Return the first word that is, or may become, the name of a secret."""
    if step.program in NAMES_ONLY and not step.feeds:
        return None
    before = ""
    for word in step.words:
        if before != ">>" and not EXCLUDE.fullmatch(word):
            is_text = runs_text or before in TEXT_FLAGS
            for part in _parts(word, is_text):
                if _reaches(part, step.program, cwd):
                    return part
        before = word
    return None


def _parts(word: str, is_text: bool) -> Iterator[str]:
    """Yield the parts of a word that may be paths. Only code is split: a sentence names no file."""
    if not re.search(r"[$`{]", word):
        yield from _split(word, is_text)
        return
    for expanded in expand_braces(RANGE.sub("*", VARIABLE.sub("*", word))):
        # A variable alone may be anything, and is nearly always harmless.
        yield from (part for part in _split(expanded, True) if part.strip("*"))
    yield from filter(None, DELIMITERS.split(word))


def _split(word: str, is_text: bool) -> Iterator[str]:
    yield word
    if is_text or not re.search(r"\s", word):
        yield from filter(None, DELIMITERS.split(word))


def _reaches(part: str, program: str, cwd: Path) -> bool:
    pattern = part.rpartition("/")[2]
    if WILD.search(pattern) and pattern.strip("*?") and _may_be_secret(pattern):
        return True
    if WILD.search(part):
        return any(cwd / each != DATA and is_secret(each, cwd) for each in _files(part, cwd))
    is_place = "/" in part or program in {"cd", "pushd"}
    path = Path(cwd / part)
    return is_secret(part, cwd) if is_place or path != DATA else False


def _may_be_secret(pattern: str) -> bool:
    """Return whether a shell's glob may match a secret. Hidden files need a dot that is written."""
    return pattern.startswith(".") and any(fnmatch(name, pattern) for name in NAMES)


def _files(pattern: str, cwd: Path) -> Iterator[str]:
    # Unlike `Path.glob`, it takes absolute patterns and `..`.
    return islice(iglob(pattern, root_dir=cwd), MAX_FOUND)  # noqa: PTH207


def _in_folders(step: Step, cwd: Path) -> str | None:
    """Return a folder with a secret that the step reads whole."""
    for program, reads in READ_FOLDERS.items():
        arguments = step.runs(program)
        if arguments is None:
            continue
        is_listed = program == "find" and step.feeds
        is_whole = is_listed or any(reads.fullmatch(each) for each in arguments)
        if is_whole and (found := _folder(program, arguments, cwd)):
            return found
    arguments = step.runs("rg") or []
    globs = [each.removeprefix("--glob=") for each in arguments]
    return next((each for each in globs if WILD.search(each) and matches_secret(each)), None)


def _folder(program: str, arguments: list[str], cwd: Path) -> str | None:
    excluded = [found.group(2) for each in arguments if (found := EXCLUDE.fullmatch(each))]
    if program == "find" and _finds_no_secret(arguments):
        return None
    named = [each for each in arguments if not each.startswith("-")]
    places = [place for each in named for place in _places(each, cwd)] or [cwd]
    return next((str(place) for place in places if holds_secret(place, excluded)), None)


def _places(word: str, cwd: Path) -> list[Path]:
    """Return the folders that an argument names: with its wildcards, and after `name:`."""
    if WILD.search(word):
        return [cwd / found for found in _files(word, cwd)]
    path = Path(os.path.realpath(cwd / VARIABLE.sub(str(ROOT), word)))
    return [path] if path.is_dir() else []


def _finds_no_secret(arguments: list[str]) -> bool:
    """Return whether `find` looks for names that no secret has."""
    pairs = pairwise(arguments)
    names = [value for flag, value in pairs if flag in {"-name", "-iname"}]
    return bool(names) and not any(matches_secret(name) for name in names)


def _printed(step: Step) -> str | None:
    """Return what prints secrets without naming a file."""
    words = set(step.words)
    if "git" in words and any(_has(words, *each) for each in GIT_READS.items()):
        return "A file that git ignores"
    if words & COMPOSE and words & COMPOSE_PRINTS:
        return "Compose's configuration, which has the values of .env,"
    if words & MODULES:
        return "A whole folder"
    if words & _commands() and words & OWN_OUTPUTS:
        return "A user's data or token"
    return _mounted(step)


def _has(words: set[str], command: str, flags: re.Pattern[str]) -> bool:
    return command in words and any(flags.fullmatch(word) for word in words)


def _mounted(step: Step) -> str | None:
    arguments = step.words
    for flag, value in pairwise(arguments):
        if flag in MOUNTS:
            for part in DELIMITERS.split(VARIABLE.sub(str(ROOT), value)):
                if part and holds_secret(Path(part)):
                    return value
    return None


def _commands() -> set[str]:
    """Return the names of the project's own commands."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return set(project.get("project", {}).get("scripts", {}))
