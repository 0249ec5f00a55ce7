"""Makes requests that nobody would send, from the types of ChatKit's requests.

Most are valid but for one place, so that they get past the parser; some are wrong in many.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any, cast

from chatkit.types import ChatKitReq
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

Json = Any


class _Schema(GenerateJsonSchema):
    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Say nothing about the SDK's defaults that are no JSON."""


SCHEMA = TypeAdapter[Any](ChatKitReq).json_schema(schema_generator=_Schema)
TEXTS = (
    *("", " ", "x", "null", "../../etc/passwd", "' OR 1=1 --", "%00", "{}", "<script>"),
    *("\r\n\r\n", "\x00", "\x1b[31m", "\ufeff", "\u200b", "\uffff", "\U0010ffff", "\ud800"),
    *("\u202e\u0645\u0631\u062d\u0628\u0627", "\U0001f469\u200d\U0001f467", "\u0130\u0131\ufb01"),
    *("e\u0301" * 50, "\u0301" * 500, "zalgo" * 1000, "9" * 400),
)
NUMBERS = (0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.1, -0.0, 1e308)
EMPTY: tuple[Json, ...] = (None, True, False, [], {}, [[]], {"": None})
LONG = 200_000
DEPTH = 200
MUTATED = 0.75
OFTEN_WRONG = 0.15
OPTIONAL = 0.7


class Fuzzer:
    """Yields bodies; the same `seed` yields the same. `known` are ids that the server has."""

    def __init__(self, seed: int, known: dict[str, list[str]] | None = None) -> None:
        self._random = Random(seed)  # noqa: S311
        self._known = known or {}

    def requests(self, count: int) -> Iterator[Json]:
        """Yield `count` requests, of each type in turn."""
        names = SCHEMA["oneOf"] if "oneOf" in SCHEMA else SCHEMA["anyOf"]
        for number in range(count):
            request = self._value(names[number % len(names)], "")
            if self._random.random() < MUTATED:
                request = self._mutated(request)
            while self._random.random() < OFTEN_WRONG:
                request = self._mutated(request)
            yield request

    def _value(self, schema: dict[str, Any], name: str) -> Json:
        """Return a value for a part of the schema. `name` is the field's."""
        if "$ref" in schema:
            return self._value(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], name)
        for choice in ("oneOf", "anyOf"):
            if choice in schema:
                return self._value(self._random.choice(schema[choice]), name)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        make: dict[str, Callable[[], Json]] = {
            "object": lambda: self._object(schema),
            "array": lambda: [
                self._value(schema.get("items", {}), name)
                for _ in range(self._random.randint(0, 3))
            ],
            "string": lambda: self._text(name),
            "integer": lambda: self._random.randint(1, 20),
            "number": self._random.random,
            "boolean": lambda: self._random.random() < 0.5,
            "null": lambda: None,
        }
        return make.get(schema.get("type", ""), self._odd)()

    def _object(self, schema: dict[str, Any]) -> Json:
        required = schema.get("required", ())
        value = {
            name: self._value(part, name)
            for name, part in schema.get("properties", {}).items()
            if name in required or "const" in part or self._random.random() < OPTIONAL
        }
        if schema.get("additionalProperties") and not value:
            return {self._text(""): self._odd()}
        return value

    def _array(self, schema: dict[str, Any], name: str) -> Json:
        return [self._value(schema, name) for _ in range(self._random.randint(0, 3))]

    def _text(self, name: str) -> str:
        known = self._known.get(name, [])
        return self._random.choice(known) if known else self._random.choice(TEXTS[:9])

    def _odd(self) -> Json:
        """Return something that is hardly what a field expects."""
        makers: tuple[Callable[[], Json], ...] = (
            lambda: self._random.choice(TEXTS),
            lambda: self._random.choice(NUMBERS),
            lambda: self._random.choice(EMPTY),
            lambda: self._random.choice(TEXTS[1:]) * self._random.choice((1, 100, 2_000)),
            lambda: "x" * self._random.choice((1_000, LONG)),
            lambda: _nested(self._random.randint(2, DEPTH)),
            lambda: [self._random.choice(TEXTS)] * self._random.choice((10, 5_000)),
            lambda: {str(number): number for number in range(self._random.choice((10, 2_000)))},
        )
        return self._random.choice(makers)()

    def _mutated(self, value: Json) -> Json:
        """Return the value with one odd place, somewhere in it."""
        if isinstance(value, dict) and value and self._random.random() < 0.9:
            fields = cast(dict[str, Json], value)
            name = self._random.choice(list(fields))
            match self._random.randint(0, 9):
                case 0:
                    return {each: part for each, part in fields.items() if each != name}
                case 1:
                    return {**fields, self._random.choice(TEXTS): self._odd()}
                case _:
                    return {**fields, name: self._mutated(fields[name])}
        if isinstance(value, list) and value and self._random.random() < 0.9:
            parts = cast(list[Json], value)
            place = self._random.randrange(len(parts))
            return [*parts[:place], self._mutated(parts[place]), *parts[place + 1 :]]
        return self._odd()


def _nested(depth: int) -> Json:
    value: Json = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value
