"""Compares the texts of an application with its catalogues."""

from io import BytesIO
from pathlib import Path
from string import Formatter

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po


def catalogues_of(package: Path) -> list[Path]:
    """Return the `messages.po` of each language, of the package and of its features."""
    patterns = ("locale/*/LC_MESSAGES/messages.po", "features/*/locale/*/LC_MESSAGES/messages.po")
    return sorted(file for pattern in patterns for file in package.glob(pattern))


def translation_gaps(catalogue: Path) -> list[str]:
    """Return what is not translated yet: texts that stay English, and what is not compiled."""
    written = _read(catalogue)
    ready = {str(each.id) for each in written if _is_ready(each)}
    missing = sorted(texts_in(catalogue.parents[3]) - ready)
    found = [f"To translate in {catalogue}: {text}" for text in missing]
    if _compiled(catalogue) != _strings(written):
        found.append(f"To translate, compile {catalogue}: its messages.mo is another")
    return found


def translation_faults(catalogue: Path) -> list[str]:
    """Return translations whose placeholders differ: such a text cannot be shown."""
    return [
        f"{catalogue}: {each.id!r} and {each.string!r} have different placeholders"
        for each in _read(catalogue)
        if each.id and each.string and _placeholders(each.id) != _placeholders(each.string)
    ]


def texts_in(owner: Path) -> set[str]:
    """Return the texts given to `_` in a package, or in a feature; not those of its features."""

    def enter(folder: str | Path) -> bool:
        return Path(folder).name not in ("features", "__pycache__")

    found = extract_from_dir(
        owner, [("**.py", "python")], keywords={"_": None}, directory_filter=enter
    )
    return {str(text) for _name, _line, text, _comments, _context in found}


def _read(catalogue: Path) -> Catalog:
    return read_po(BytesIO(catalogue.read_bytes()))


def _compiled(catalogue: Path) -> dict[str, str]:
    file = catalogue.with_suffix(".mo")
    return _strings(read_mo(BytesIO(file.read_bytes()))) if file.is_file() else {}


def _strings(messages: Catalog) -> dict[str, str]:
    return {str(each.id): str(each.string) for each in messages if _is_ready(each)}


def _is_ready(message: Message) -> bool:
    return bool(message.id and message.string and not message.fuzzy)


def _placeholders(text: object) -> set[str]:
    return {name for _before, name, *_format in Formatter().parse(str(text)) if name is not None}
