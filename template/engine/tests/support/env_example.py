"""The file that lists every setting, in a project or where the template stands."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def env_example() -> str:
    rendered = ROOT / ".env.example"
    return (rendered if rendered.exists() else ROOT / ".env.example.jinja").read_text()
