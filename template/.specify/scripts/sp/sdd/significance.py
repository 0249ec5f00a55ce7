"""The three-part test that decides which decisions need a record."""

import re
from dataclasses import dataclass

from sdd.command import Refused

PARTS = {
    "impact": "it has long-term consequences",
    "alternatives": "several viable options were considered",
    "scope": "it affects several parts and shapes the design",
}
ANSWER = re.compile(r"(?P<verdict>yes|no)\b[:,. ]*(?P<reason>.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Verdict:
    """Whether a decision needs a record, with the reason for each part of the test."""

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
