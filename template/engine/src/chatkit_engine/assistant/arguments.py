"""What is wrong with the arguments that a model wrote, in words that let it correct them."""

import json
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

MAX_PROBLEMS = 5
MAX_WORDS = 200
NO_OBJECT = "a JSON object is needed"


def argument_problems(schema: dict[str, Any], arguments: str) -> str:
    """Return which fields do not fit a tool's schema, and why, in one line.

    The Agents SDK keeps the reason to itself, since it may not be logged. The model may hear it,
    because the values are its own.
    """
    try:
        value: object = json.loads(arguments or "{}")
    except ValueError as error:
        return f"not valid JSON: {error}"[:MAX_WORDS]
    if not isinstance(value, dict):
        return NO_OBJECT
    return "; ".join(_problems(schema, value)) or NO_OBJECT  # pyright: ignore[reportUnknownArgumentType]


def _problems(schema: dict[str, Any], value: object) -> Iterator[str]:
    # Imported here, because it takes long and few turns need it.
    import jsonschema  # noqa: PLC0415

    # Its types are incomplete.
    library: Any = jsonschema
    errors = library.Draft202012Validator(schema).iter_errors(value)
    for error in sorted(errors, key=attrgetter("json_path"))[:MAX_PROBLEMS]:
        # Of several alternatives, the one that the value comes closest to.
        closest = library.exceptions.best_match([error])
        field = closest.json_path.removeprefix("$").removeprefix(".")
        message = closest.message
        if len(message) > MAX_WORDS:
            message = f"{message[:MAX_WORDS]}…"
        yield f"{field}: {message}" if field else message
