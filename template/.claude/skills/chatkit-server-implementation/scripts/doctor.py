"""Checks a ChatKit project before it runs, and says how to fix what is wrong.

    uv run python .claude/skills/chatkit-server-implementation/scripts/doctor.py

It checks Python, the installed versions against `uv.lock`, files that hide an SDK, origins that are
allowed together with credentials, and the settings. It prints no secret. The exit code is 1 if
something is wrong. The application's own command `doctor` also opens the database and says which
of the engine's files were edited.
"""

import argparse
import ast
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

MIN_PYTHON = (3, 11)
SDKS = ("agents", "chatkit", "openai", "mcp")
PACKAGES = ("openai-chatkit", "openai-agents", "openai", "mcp", "fastapi", "pydantic", "sqlalchemy")
NEEDED = ("openai-chatkit", "openai-agents", "openai")


@dataclass(frozen=True)
class Finding:
    """The result of one check. If it is not `ok`, the text says what to do."""

    name: str
    ok: bool
    text: str


def main() -> int:
    folder = _options().folder.resolve()
    findings = [
        *_python(),
        *_versions(folder),
        *_shadows(folder),
        *_cors(folder),
        *_settings(folder),
    ]
    for finding in findings:
        print(f"{'ok ' if finding.ok else 'FIX'}  {finding.name}: {finding.text}")
    return 0 if all(finding.ok for finding in findings) else 1


def _python() -> Iterator[Finding]:
    here = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, MIN_PYTHON))
    ok = sys.version_info >= MIN_PYTHON
    yield Finding("python", ok, here if ok else f"{here}: install Python {wanted} or newer")


def _versions(folder: Path) -> Iterator[Finding]:
    """Compare the installed versions with the lock."""
    lock = folder / "uv.lock"
    locked = _locked(lock) if lock.exists() else {}
    if not locked:
        yield Finding("lock", False, f"{lock} is missing: run `uv lock`")
    for name in PACKAGES:
        have, want = _installed(name), locked.get(name)
        if have is None and (want or name in NEEDED):
            yield Finding(name, False, "is not installed: run `uv sync`")
        elif have is not None and want not in (None, have):
            yield Finding(name, False, f"{have} is installed, {want} is locked: run `uv sync`")
        elif have is not None:
            yield Finding(name, True, have)


def _locked(lock: Path) -> dict[str, str]:
    packages = tomllib.loads(lock.read_text(encoding="utf-8")).get("package", [])
    return {package["name"]: package.get("version", "") for package in packages}


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _shadows(folder: Path) -> Iterator[Finding]:
    """Find folders and files of the project that Python imports instead of an SDK."""
    hiding = [
        path.name
        for name in SDKS
        for path in (folder / name, folder / f"{name}.py")
        if path.is_dir() or path.is_file()
    ]
    advice = f"rename {', '.join(hiding)}, or move it below `app`: it hides the SDK of that name"
    yield Finding("packages", not hiding, advice if hiding else "no SDK is hidden")


def _cors(folder: Path) -> Iterator[Finding]:
    """Find middleware in the code that allows every origin."""
    for file in sorted((folder / "app").rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and _allows_every_origin(call):
                place = f"{file.relative_to(folder)}:{call.lineno}"
                advice = "name each origin: with `*` and credentials, any page can act as the user"
                yield Finding("origins", False, f"{place}: {advice}")
                return
    yield Finding("origins", True, "each allowed origin is named")


def _allows_every_origin(call: ast.Call) -> bool:
    named = {word.arg: word.value for word in call.keywords}
    origins = named.get("allow_origins")
    credentials = named.get("allow_credentials")
    allows = isinstance(credentials, ast.Constant) and credentials.value is True
    return allows and origins is not None and "'*'" in ast.unparse(origins)


def _settings(folder: Path) -> Iterator[Finding]:
    """Read the settings as the application does. Say which are wrong, or which model answers."""
    sys.path.insert(0, str(folder))
    try:
        from pydantic import ValidationError  # noqa: PLC0415 (may not be installed)

        from app.settings import Settings  # noqa: PLC0415
    except ImportError as error:
        missing = error.name or "the application"
        yield Finding("settings", False, f"{missing} cannot be imported: run this in the project")
        return
    try:
        endpoint = Settings().llm
    except ValidationError as error:
        yield from (Finding("settings", False, text) for text in _explain(error.errors()))
        return
    if endpoint.provider.name == "demo":
        yield Finding("key", True, "none is set: the demo model answers")
    else:
        yield Finding("key", True, f"{endpoint.provider.name} answers with {endpoint.model}")


def _explain(errors: Sequence[Any]) -> Iterator[str]:
    for error in errors:
        name = ".".join(str(part) for part in error["loc"]).upper()
        yield f"{name}: {error['msg']}" if name else error["msg"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path(), help="the project (default: this folder)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
