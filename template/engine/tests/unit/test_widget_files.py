"""A `.widget` file shows user text unchanged, whatever characters it contains."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
from chatkit.widgets import WidgetTemplate

SAMPLE = Path(__file__).parents[1] / "sample"
FILES = sorted(SAMPLE.rglob("*.widget"))
HOSTILE = (
    "a \"b\" 'c' \\ \n\t " + "{" * 2 + " 7 * 7 " + "}" * 2 + " {" + "% if x %} </script> 😀 \u2028"
)


def _filled(schema: dict[str, Any]) -> Any:
    """Return a value of a schema, with the hostile text for every text."""
    match schema["type"]:
        case "object":
            return {name: _filled(each) for name, each in schema["properties"].items()}
        case "array":
            return [_filled(schema["items"])] * 2
        case "boolean":
            return True
        case _:
            return HOSTILE


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return _texts(list(cast(dict[str, Any], value).values()))
    if isinstance(value, list):
        return [text for each in cast(list[Any], value) for text in _texts(each)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
@pytest.mark.parametrize("flags", [True, False])
def test_hostile_text_is_shown_unchanged(file: Path, flags: bool) -> None:
    schema = json.loads(file.read_text())["jsonSchema"]
    data = {
        name: flags if isinstance(value, bool) else value for name, value in _filled(schema).items()
    }

    widget = WidgetTemplate.from_file(str(file)).build(data).model_dump()

    assert set(schema["required"]) == set(schema["properties"])
    texts = _texts(widget)
    assert HOSTILE in texts
    assert [text for text in texts if "7 * 7" in text and HOSTILE not in text] == []
    assert not any("49" in text for text in texts)
