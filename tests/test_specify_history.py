"""Prompt History Records and ADRs: written by scripts, and linted."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest
from tests.specify import ROOT, SCRIPTS, Specs

RECORD = ("--title", "Say hello", "--response", "Said it.", "--outcome", "It is said.")
WHO = ("--user", "Ada", "--branch", "main")
YES = ("impact=yes: for years", "alternatives=yes: two", "scope=yes: all of it")
ADR = (
    *("Keep tags in a table", "--agreed-by", "Ada", "--significance", *YES),
    *("--context", "Tags need a place.", "--decision", "A table.", "--consequences", "A join."),
    *("--option", "table :: it is found :: it is one more"),
    *("--option", "JSON :: it is there :: it is not found"),
)


@pytest.fixture
def specs(tmp_path: Path) -> Specs:
    return Specs(tmp_path)


def _record(specs: Specs, stage: str, *more: str, prompt: str = "Say hello") -> str:
    given = ("--stage", stage, *RECORD, *WHO, "--prompt", "-", *more)
    return specs.ok("phr", *given, stdin=prompt)["path"]


def _problems(specs: Specs) -> str:
    ran = specs.run("lint_history")
    assert ran.code == 1
    return ran.out


def test_a_record_goes_where_its_stage_belongs_and_numbers_run_through(specs: Specs) -> None:
    specs.specified()

    paths = [_record(specs, stage) for stage in ("constitution", "plan", "red", "general")]

    assert paths == [
        "history/prompts/constitution/0001-say-hello.constitution.prompt.md",
        "history/prompts/001-tags-threads/0002-say-hello.plan.prompt.md",
        "history/prompts/001-tags-threads/0003-say-hello.red.prompt.md",
        "history/prompts/general/0004-say-hello.general.prompt.md",
    ]
    assert specs.ok("lint_history") == {"records": 4, "complete": True, "problems": []}


def test_a_record_has_every_field_and_the_prompt_word_for_word(specs: Specs) -> None:
    specs.specified()
    prompt = 'Do *this*:\n````\n```\n[[not]] a place\n```\n````\nÜ — \\n, "quoted"  \n'

    path = _record(
        specs,
        "plan",
        *("--command", "/sp.plan", "--model", "a-model", "--surface", "cli", "--label", "tags"),
        *("--file", "app/x.py", "--test", "uv run pytest: 3 passed", "--ticket", "#7"),
        *("--next", "Ask for tasks.", "--evaluation", "Went well."),
        prompt=prompt,
    )

    text = specs.read(path)
    assert f"`````text\n{prompt}`````\n" in text
    for line in (
        *('id: "0001"', 'title: "Say hello"', 'stage: "plan"', 'surface: "cli"'),
        *('model: "a-model"', 'feature: "001-tags-threads"', 'branch: "main"', 'user: "Ada"'),
        *('command: "/sp.plan"', 'labels: ["tags"]', 'files: ["app/x.py"]'),
        'tests: ["uv run pytest: 3 passed"]',
    ):
        assert f"\n{line}\n" in text
    assert '"spec": "specs/001-tags-threads/spec.md", "ticket": "#7", "adr": null' in text
    assert specs.ok("lint_history")["complete"]


def test_records_that_are_written_at_once_get_numbers_without_a_gap(specs: Specs) -> None:
    given = ("--stage", "general", *RECORD, *WHO, "--prompt", "Say hello")
    processes = [specs.start("phr", *given) for _ in range(6)]
    for process in processes:
        process.communicate()

    names = sorted(path.name for path in (specs.root / "history/prompts/general").iterdir())
    assert [name[:4] for name in names] == [f"{number:04d}" for number in range(1, 7)]
    assert specs.ok("lint_history")["complete"]


def test_a_number_that_another_run_holds_for_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
    numbering = import_module("sdd.numbering")
    monkeypatch.setattr(numbering, "PATIENCE_SECONDS", 0)
    (tmp_path / ".claim").touch()

    with pytest.raises(Exception, match="another run holds"):
        numbering.next_number(tmp_path, list).__enter__()


SECRETS = [
    "use sk-proj-0123456789abcdefghij please",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
    "AKIAIOSFODNN7EXAMPLE",
    "PASSWORD=hunter2hunter2",
    '"api_key": "abcdef012345"',
    "postgresql://ada:s3cr3tpw@db.example.com/chat",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    "Authorization: Bearer abcdefghijklmnopqrstuvwxyz",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_refused_with_its_place_or_taken_out(specs: Specs, secret: str) -> None:
    given = ("--stage", "general", *RECORD, *WHO, "--prompt", "-")

    said = specs.refused("phr", *given, stdin=f"Hello.\nHere: {secret}\nBye.")
    assert "prompt, line 2: this looks like" in said
    assert not list(specs.root.rglob("*.prompt.md"))

    path = specs.ok("phr", *given, "--redact", stdin=f"Hello.\nHere: {secret}\nBye.")["path"]
    text = specs.read(path)
    assert "[REDACTED]" in text
    assert "\nBye.\n" in text
    assert secret not in text
    assert specs.ok("lint_history")["complete"]


def test_a_secret_in_any_other_field_is_refused_too(specs: Specs) -> None:
    given = ("--stage", "general", *RECORD, *WHO, "--prompt", "Hello")

    assert "tests, line 1" in specs.refused("phr", *given, "--test", f"curl {SECRETS[0]}")
    assert "links, line 1" in specs.refused("phr", *given, "--pr", SECRETS[5])


@pytest.mark.parametrize(
    "text",
    [
        "OPENAI_API_KEY=... in .env",
        "JWT_SECRET=$(openssl rand -hex 32)",
        "postgresql://user:password@host:5432/chat",
        "password=settings.password, token = issue_token(settings)",
        "the sk- prefix, a JWT, and what a password is",
    ],
)
def test_what_only_speaks_of_secrets_is_recorded(specs: Specs, text: str) -> None:
    assert _record(specs, "general", prompt=text)


def test_a_feature_stage_needs_a_feature(specs: Specs) -> None:
    given = ("--stage", "plan", *RECORD, *WHO, "--prompt", "Hello")

    assert "run new_feature.py" in specs.refused("phr", *given)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('id: "0001"', 'id: "0002"', "the id should be 0001"),
        ('stage: "plan"', 'stage: "tasks"', "the stage should be plan"),
        ('user: "Ada"\n', "", "the field 'user' is missing"),
        ('model: "unknown"', 'model: ""', "the field 'model' is empty"),
        ("001-tags-threads/spec.md", "001-gone/spec.md", "which does not exist"),
        ("Said it.", "[[what was done]]", "fill in [[what was done]]"),
        ("## Outcome", "## Result", "the section 'Outcome' is missing"),
        (
            "Said it.",
            "Said sk-proj-0123456789abcdefghij.",
            "this looks like a model provider's key",
        ),
    ],
)
def test_what_is_wrong_with_a_record_is_named(
    specs: Specs, before: str, after: str, words: str
) -> None:
    specs.specified()
    specs.change(_record(specs, "plan"), before, after)

    assert words in _problems(specs)


def test_a_gap_a_twin_and_a_record_in_the_wrong_place_are_named(specs: Specs) -> None:
    specs.specified()
    first, second, third = (specs.root / _record(specs, "plan") for _ in range(3))
    second.unlink()
    assert "record 0002 is missing" in _problems(specs)

    third.rename(third.with_name(first.name.replace("hello", "bye")))
    assert "another record has the number 0001" in _problems(specs)

    general = specs.root / "history/prompts/general"
    general.mkdir()
    first.rename(general / first.name)
    assert "belongs in another folder" in _problems(specs)


@pytest.mark.parametrize(
    ("answers", "significant"),
    [
        (YES, True),
        (("impact=no: a week", *YES[1:]), False),
        ((YES[0], "alternatives=no", YES[2]), False),
        ((*YES[:2], "scope=no: one file"), False),
    ],
)
def test_a_decision_is_significant_when_all_three_parts_hold(
    specs: Specs, answers: Sequence[str], significant: bool
) -> None:
    verdict = specs.ok("adr", "--test", *answers)

    assert verdict["significant"] is significant
    assert verdict["reasons"].keys() == {"impact", "alternatives", "scope"}
    assert "answer scope=yes or scope=no" in specs.refused("adr", "--test", *YES[:2])


def test_a_decision_is_written_superseded_and_linted(specs: Specs) -> None:
    old = specs.ok("adr", *ADR)["path"]
    new = specs.ok("adr", "Keep tags elsewhere", *ADR[1:], "--supersedes", "0001")["path"]

    assert old == "history/adr/0001-keep-tags-in-a-table.md"
    assert 'status: "superseded"\n' in specs.read(old)
    assert 'superseded_by: "0002"\n' in specs.read(old)
    assert 'supersedes: "0001"\n' in specs.read(new)
    assert specs.ok("lint_history") == {"records": 2, "complete": True, "problems": []}

    specs.change(new, 'supersedes: "0001"', "supersedes: null")
    assert "'superseded_by' names 0002" in _problems(specs)


def test_a_decision_needs_consent_options_and_significance(specs: Specs) -> None:
    consent = [word for word in ADR if word not in ("--agreed-by", "Ada")]

    assert "--agreed-by" in specs.refused("adr", *consent)
    assert "two options" in specs.refused("adr", *ADR[:-2])
    assert "needs no record" in specs.refused("adr", *ADR, "--significance", "impact=no", *YES[1:])
    assert "no ADR 0009" in specs.refused("adr", *ADR, "--supersedes", "0009")
    assert not list(specs.root.rglob("*.md"))


def test_this_projects_own_history_is_whole() -> None:
    assert Specs(ROOT).ok("lint_history")["problems"] == []
