"""The three-part test: which decisions deserve a record."""

import re
from dataclasses import dataclass

from sdd.command import Refused

PARTS = {
    "impact": "it has consequences for a long time",
    "alternatives": "several options were viable and were considered",
    "scope": "it cuts across parts and shapes the design",
}
ANSWER = re.compile(r"(?P<verdict>yes|no)\b[:,. ]*(?P<reason>.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Verdict:
    """Whether a decision deserves a record, with the reason for each part of the test."""

    significant: bool
    reasons: dict[str, str]

    def __str__(self) -> str:
        head = "significant: write an ADR" if self.significant else "not significant: no ADR"
        return "\n".join([head, *(f"  {part}: {why}" for part, why in self.reasons.items())])


def significance(answers: dict[str, str]) -> Verdict:
    """Apply the three-part test: each part is answered 'yes' or 'no', with a reason after it.

    Raises:
        Refused: a part is not answered.
    """
    reasons: dict[str, str] = {}
    holds = True
    for part, meaning in PARTS.items():
        answer = ANSWER.fullmatch(answers.get(part, "").strip())
        if answer is None:
            raise Refused(f"answer {part}=yes or {part}=no ({meaning}), and why")
        holds = holds and answer["verdict"].lower() == "yes"
        reasons[part] = f"{answer['verdict'].lower()}: {answer['reason'].strip() or meaning}"
    return Verdict(holds, reasons)
