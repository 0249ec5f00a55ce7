"""Finds files with secrets or users' data, and patterns and folders that reach one."""

import os
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path

from hook import ROOT

SECRET = re.compile(
    r"\.env(rc|\..+)?|.*\.(pem|key|p12|pfx|jks|keystore)|id_(rsa|dsa|ecdsa|ed25519)"
    r"|\.(netrc|pgpass|pypirc|npmrc)|credentials(\.json)?",
    re.IGNORECASE,
)
SAMPLE = re.compile(r"\.env\.(example|sample|template)", re.IGNORECASE)
SECRET_FOLDERS = {".ssh", ".aws", ".gnupg"}
ENVIRONMENT = re.compile(r"/proc/[^/]+/environ")
DATA = ROOT / "data"
# What a pattern may not match, whether or not the file is there.
NAMES = (".env", ".env.local", ".env.production", ".netrc", ".pgpass")
# Packages bring certificates, which end in `.pem` too.
SKIPPED = {".git", ".venv", "node_modules", "__pycache__"}
MAX_FILES = 20_000
MAX_EXPANDED = 500
BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")


def is_secret(text: str, cwd: Path) -> bool:
    """Return whether a path, or what it links to, is a secret."""
    written = os.path.expanduser(text.replace("\\", "/"))  # noqa: PTH111 (it never fails)
    named = Path(os.path.normpath(cwd / written))
    return any(_is_secret_path(path) for path in {named, Path(os.path.realpath(named))})


def matches_secret(pattern: str) -> bool:
    """Return whether a glob for file names, as `rg` reads it, matches a secret."""
    names = {each.rpartition("/")[2].lower() for each in expand_braces(pattern)}
    return any(fnmatch(secret, name) for name in names for secret in NAMES)


def holds_secret(folder: Path, excluded: Iterable[str] = ()) -> bool:
    """Return whether a folder has a secret somewhere. A folder too large to search counts as one.

    What matches one of the `excluded` patterns does not count.
    """
    patterns = [*excluded]
    for number, path in enumerate(_walk(folder, patterns)):
        if number > MAX_FILES or _is_secret_path(path):
            return True
    return False


def expand_braces(word: str) -> list[str]:
    """Return the words that a shell makes of `{a,b}`.

    Raises:
        ValueError: there are too many.
    """
    words, done = [word], list[str]()
    while words:
        current = words.pop()
        if (found := BRACES.search(current)) is None:
            done.append(current)
            continue
        before, after = current[: found.start()], current[found.end() :]
        words += [before + choice + after for choice in found.group(1).split(",")]
        if len(words) + len(done) > MAX_EXPANDED:
            raise ValueError("too many words in braces")
    return done


def _is_secret_path(path: Path) -> bool:
    if SAMPLE.fullmatch(path.name):
        return False
    if SECRET.fullmatch(path.name) or path == DATA or DATA in path.parents:
        return True
    if ENVIRONMENT.fullmatch(path.as_posix()):
        return True
    return not SECRET_FOLDERS.isdisjoint(path.parts)


def _walk(folder: Path, excluded: list[str]) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED]
        for name in [*folders, *files]:
            if any(fnmatch(name, pattern) for pattern in excluded):
                if name in folders:
                    folders.remove(name)
            else:
                yield Path(place, name)
