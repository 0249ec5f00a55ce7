"""The worked example: its documents are the scripts' own, and its patch works."""

import re
import shutil
import sys

import pytest
from tests.projects import ROOT, Project
from tests.specs import OVERRIDES, script, tool

EXAMPLE = ROOT / "docs/example"


@pytest.mark.parametrize("stage", ["spec", "plan", "tasks"])
def test_the_examples_stages_are_complete(stage: str) -> None:
    done = script(EXAMPLE, "check", stage)

    assert done.returncode == 0, done.stdout


def test_the_examples_history_is_complete_and_has_a_record_of_each_command() -> None:
    done = script(EXAMPLE, "lint_history")
    stages = {path.name.split(".")[1] for path in EXAMPLE.rglob("*.prompt.md")}

    assert done.stdout == "6 records, all complete\n"
    assert stages == {"spec", "plan", "adr", "tasks", "implement"}


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ("specs/001-thread-tags/spec.md", "spec"),
        ("specs/001-thread-tags/plan.md", "plan"),
        ("specs/001-thread-tags/tasks.md", "tasks"),
        ("specs/001-thread-tags/checklists/requirements.md", "checklist"),
        ("history/adr/0001-*.md", "adr"),
        ("history/prompts/general/0003-*.md", "phr"),
    ],
)
def test_the_examples_documents_are_what_the_templates_give(document: str, name: str) -> None:
    """Every line of a template that has nothing to fill in stands in the document, in its order."""
    (path,) = EXAMPLE.glob(document)
    lines = iter(path.read_text().replace("[x]", "[ ]").splitlines())
    template = (OVERRIDES / f"{name}-template.md").read_text().splitlines()

    for line in template:
        if line and "[[" not in line:
            assert line in lines, line


def test_the_examples_links_lead_somewhere() -> None:
    for document in EXAMPLE.rglob("*.md"):
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document}: {target}"


def test_the_examples_patch_applies_to_a_project_and_its_tests_pass(project: Project) -> None:
    project.git("apply", "--check", str(EXAMPLE / "thread-tags.patch"))
    project.git("apply", str(EXAMPLE / "thread-tags.patch"))
    for folder in ("specs", "history"):
        shutil.copytree(EXAMPLE / folder, project.folder / folder)

    feature = ("app/features/tags", "tests/features/tags")
    engine = str(project.folder / "engine" / "src")
    tests = ("-m", "pytest", "-q", "-n", "0", feature[1])
    passed = project.run(sys.executable, *tests, PYTHONPATH=engine)

    assert re.search(r"\d+ passed", passed)
    project.run(tool("ruff"), "check", "--no-cache", *feature)
    project.run(tool("ruff"), "format", "--no-cache", "--check", *feature)
    done = script(project.folder, "check", "implement")
    assert done.returncode == 0, done.stdout
