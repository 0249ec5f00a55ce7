"""From a sentence to tasks: each stage is made when the one before is complete."""

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.specify import TEMPLATE, Specs


@pytest.fixture
def specs(tmp_path: Path) -> Specs:
    return Specs(tmp_path)


def test_a_feature_is_numbered_and_named_and_begun_again_only_once(specs: Specs) -> None:
    first = specs.ok("new_feature", "Let users put tags on their threads")
    second = specs.ok("new_feature", "Export as Markdown", "--name", "markdown export")
    again = specs.ok("new_feature", "Something else", "--name", "markdown export")

    assert first["feature"] == "001-users-put-tags-their"
    assert second["feature"] == "002-markdown-export"
    assert (again["feature"], again["created"]) == ("002-markdown-export", False)
    assert '"Export as Markdown"' in specs.read("specs/002-markdown-export/spec.md")


def test_features_that_are_begun_at_once_get_a_number_each(specs: Specs) -> None:
    processes = [specs.start("new_feature", f"feature {word}") for word in ("one", "two", "three")]
    for process in processes:
        process.communicate()

    assert sorted(path.name[:3] for path in (specs.root / "specs").glob("0*")) == [
        "001",
        "002",
        "003",
    ]


def test_a_branch_is_made_where_there_is_a_repository(specs: Specs) -> None:
    assert "git init" in specs.refused("new_feature", "Tags", "--branch")

    subprocess.run([shutil.which("git") or "git", "init", "-q"], cwd=specs.root, check=True)
    specs.ok("new_feature", "Tags", "--branch")

    assert specs.read(".git/HEAD") == "ref: refs/heads/001-tags\n"


def test_a_stage_is_refused_until_the_one_before_is_complete(specs: Specs) -> None:
    folder = f"specs/{specs.ok('new_feature', 'Tags on threads')['feature']}"
    assert "complete spec.md first" in specs.refused("plan")

    specs.fill(f"{folder}/spec.md")
    assert "checklists/requirements.md" in specs.refused("plan")
    specs.fill(f"{folder}/checklists/requirements.md")
    assert specs.ok("plan")["created"] is True
    assert "complete plan.md first" in specs.refused("tasks")

    specs.fill(f"{folder}/plan.md")
    assert specs.ok("tasks")["tasks"] == f"{folder}/tasks.md"


def test_making_a_stage_again_keeps_what_was_written(specs: Specs) -> None:
    folder = specs.specified()
    specs.ok("plan")
    specs.fill(f"{folder}/plan.md")

    assert specs.ok("plan")["created"] is False
    assert "[[" not in specs.read(f"{folder}/plan.md")


def test_a_plan_has_a_row_for_each_principle_of_both_constitutions(specs: Specs) -> None:
    memory = specs.root / ".specify" / "memory"
    shutil.copytree(TEMPLATE / ".specify" / "memory", memory)
    shutil.copytree(TEMPLATE / ".specify" / "templates", specs.root / ".specify" / "templates")
    with (memory / "constitution.project.md").open("a", encoding="utf-8") as file:
        file.write("\n7. **Answers cite.** An answer from a document names it.\n")
    folder = specs.specified()
    specs.ok("plan")
    specs.fill(f"{folder}/plan.md")

    assert "| A user's data is theirs | said" in specs.read(f"{folder}/plan.md")
    assert specs.ok("check", "plan")["complete"]
    specs.change(f"{folder}/plan.md", "| Answers cite |", "| Something else |")
    assert "'Answers cite'" in specs.run("check", "plan").out


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("## Why\n", "## Reasons\n", "the section 'Why' is missing"),
        ("## Why\n\nsaid in `tests/test_it.py`", "## Why\n", "the section 'Why' is empty"),
        ("**FR-001**", "**FR-002**", "without a gap"),
        ("None. (Write", "[NEEDS CLARIFICATION: who?] (Each", "answer [NEEDS CLARIFICATION: who?]"),
        ("None. (Write", "[[later]] (Each", "fill in [[later]]"),
    ],
)
def test_what_a_spec_lacks_is_named(specs: Specs, before: str, after: str, words: str) -> None:
    folder = specs.specified()
    assert specs.ok("check", "spec")["problems"] == []

    specs.change(f"{folder}/spec.md", before, after)

    ran = specs.run("check", "spec")
    assert ran.code == 1
    assert words in ran.out


def test_tasks_are_numbered_name_a_file_and_cover_each_requirement(specs: Specs) -> None:
    folder = specs.specified()
    specs.change(f"{folder}/spec.md", "- **FR-001** ", "- **FR-001** one\n- **FR-002** ")
    specs.ok("plan")
    specs.fill(f"{folder}/plan.md")
    specs.ok("tasks")
    specs.fill(f"{folder}/tasks.md")
    assert specs.ok("check", "tasks")["complete"]

    specs.change(f"{folder}/tasks.md", "T002 [FR-002]", "T007 [FR-001]")
    specs.change(f"{folder}/tasks.md", "T004 [FR-002] said in `tests/test_it.py`", "T004 it")

    assert specs.run("check", "tasks").out.splitlines() == [
        f"{folder}/tasks.md: no task covers FR-002",
        f"{folder}/tasks.md:11: this task's number should be T002",
        f"{folder}/tasks.md:16: name the file or the command in `backticks`",
    ]


def test_a_feature_is_implemented_when_each_task_is_ticked_and_its_files_exist(
    specs: Specs,
) -> None:
    folder = specs.specified()
    specs.ok("plan")
    specs.fill(f"{folder}/plan.md")
    specs.ok("tasks")
    specs.fill(f"{folder}/tasks.md")
    assert "tests/test_it.py does not exist" in specs.run("check", "implement").out

    (specs.root / "tests").mkdir()
    (specs.root / "tests" / "test_it.py").touch()
    assert specs.ok("check", "implement")["complete"]

    specs.change(f"{folder}/tasks.md", "- [x] T001", "- [ ] T001")
    assert "do this task and tick it" in specs.run("check", "implement").out


def test_code_in_a_document_is_no_place_to_fill_in(specs: Specs) -> None:
    folder = specs.specified()
    code = "```bash\n[[ -f .env ]] && echo yes\n```\n\nand `[[ -d data ]]` too\n\n## Stories"

    specs.change(f"{folder}/spec.md", "## Stories", code)

    assert specs.ok("check", "spec")["complete"]


def test_a_wrong_call_is_answered_in_one_line(specs: Specs) -> None:
    assert "name the feature" in specs.refused("check", "spec")
    assert "--help" in specs.refused("check", "nonsense")
    specs.specified("one")
    specs.specified("two")
    assert "001-one, 002-two" in specs.refused("plan", "--feature", "007")
    assert specs.ok("check", "spec", "--feature", "002")["feature"] == "002-two"
