"""Chooses the folder of a Prompt History Record: one per feature, two for the rest."""

from sdd.command import Refused

FEATURE_STAGES = ("spec", "plan", "tasks", "implement", "red", "green", "refactor")
GENERAL_STAGES = ("adr", "explainer", "misc", "general")
STAGES = ("constitution", *FEATURE_STAGES, *GENERAL_STAGES)


def folder_of(stage: str, feature: str | None) -> str:
    """Return the folder in `history/prompts/` for a stage.

    Raises:
        Refused: the stage belongs to a feature, and none is named.
    """
    if stage == "constitution":
        return "constitution"
    if stage in GENERAL_STAGES:
        return "general"
    if feature is None:
        raise Refused(f"name the feature that the stage {stage} belongs to with --feature")
    return feature
