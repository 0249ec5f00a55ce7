"""Finds text that looks like a secret, so that no record contains one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

REDACTED = "[REDACTED]"
KINDS = {
    "a model provider's key": r"\b(?:sk|rk)-[A-Za-z0-9_-]{16,}|\bgsk_\w{20,}|\bAIza[\w-]{30,}",
    "a JWT": r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+",
    "an AWS key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a GitHub token": r"\bgh[opsru]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}",
    "a Slack token": r"\bxox[abprs]-[\w-]{10,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*KEY-----)?",
    "a bearer token": r"(?i)\bbearer\s+(?P<value>[\w.~+/-]{20,}=*)",
    "a URL with a password": r"\b[a-z][a-z0-9+.-]*://[^\s:/@]*:(?P<value>[^\s@/]+)@",
    "a secret's value": (
        r"(?i)(?:password|passwd|passphrase|secret|token|api_?key|access_?key)"
        r"(?:=|[\"']\s*[:=]\s*|\s*=\s*(?=[\"']))[\"']?(?P<value>[^\s\"'`,;]{4,})"
    ),
}
HARMLESS = re.compile(
    r"[.*xX…]+|[<$%{\[(].*|\w[\w.]*\(.*|(?:settings|self|os|config|ctx)\.[\w.]+"
    r"|(?:your|my|the|an?)[-_].*|pass(?:word)?|secret|token|changeme|example"
    r"|none|null|true|false|str|bytes",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Leak:
    """What was found, the line where it begins, and its range in the text."""

    kind: str
    line: int
    start: int
    end: int


def leaks(text: str) -> list[Leak]:
    """Find text that looks like a secret, in the order of the text."""
    return sorted(_matches(text), key=lambda leak: leak.start)


def redacted(text: str) -> str:
    """Return the text with everything that looks like a secret replaced."""
    for leak in reversed(_apart(leaks(text))):
        text = text[: leak.start] + REDACTED + text[leak.end :]
    return text


def _matches(text: str) -> Iterator[Leak]:
    for kind, pattern in KINDS.items():
        for match in re.finditer(pattern, text):
            part = "value" if "value" in match.groupdict() else 0
            if part and HARMLESS.fullmatch(match[part]):
                continue
            line = text.count("\n", 0, match.start(part)) + 1
            yield Leak(kind, line, match.start(part), match.end(part))


def _apart(found: list[Leak]) -> list[Leak]:
    """Join overlapping matches, so that each place is replaced once."""
    apart: list[Leak] = []
    for leak in found:
        if apart and leak.start < apart[-1].end:
            apart[-1] = replace(apart[-1], end=max(apart[-1].end, leak.end))
        else:
            apart.append(leak)
    return apart
