"""Values that fit a JSON schema, for the demo model."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]


def value_of(schema: Schema, text: str) -> Any:
    """Return a value that fits the schema. Its texts are the text; lists are as short as may be."""
    return _value(schema, text, schema.get("$defs", {}))


def _value(rule: Schema, text: str, named: Mapping[str, Schema]) -> Any:
    if "$ref" in rule:
        return _value(named[rule["$ref"].rpartition("/")[2]], text, named)
    for fixed in ("default", "const"):
        if fixed in rule:
            return rule[fixed]
    if "enum" in rule:
        return rule["enum"][0]
    if "anyOf" in rule:
        options: list[Schema] = rule["anyOf"]
        return None if {"type": "null"} in options else _value(options[0], text, named)
    return _value_of_type(rule, text, named)


def _value_of_type(rule: Schema, text: str, named: Mapping[str, Schema]) -> Any:
    match rule.get("type"):
        case "object":
            properties: Mapping[str, Schema] = rule.get("properties", {})
            return {name: _value(each, text, named) for name, each in properties.items()}
        case "array":
            return [_value(rule["items"], text, named) for _ in range(rule.get("minItems", 0))]
        case "integer" | "number":
            return max(1, rule.get("minimum", 1))
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return text
