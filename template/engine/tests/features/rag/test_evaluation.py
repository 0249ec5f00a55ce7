"""Tests the evaluation, and the scores of the search over the documents here."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from features.rag.evaluate import DOCUMENTS, evaluate_each_store
from support.cli import cli
from typer.testing import CliRunner

from chatkit_engine.features.rag.embeddings.local import LocalEmbedder

STORES = ("embedded", "pgvector", "qdrant")


def _scores(table: str) -> dict[tuple[str, str], list[float]]:
    """Return recall, MRR and the share of refusals by store and ranking."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return {(row[0], " ".join(row[1:-3])): [float(each) for each in row[-3:]] for row in rows}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")
async def test_each_store_finds_the_answers_and_words_and_boosts_help(postgres_url: str) -> None:
    with TemporaryDirectory() as folder:
        scores = _scores(await evaluate_each_store(LocalEmbedder(), postgres_url, Path(folder)))

    for store in STORES:
        best = scores[store, "hybrid, boost"]
        recall, mrr, refused = best
        assert (recall > 0.95, mrr > 0.85, refused) == (True, True, 1.0)
        assert recall > scores[store, "hybrid"][0] > scores[store, "vector"][0]
        assert recall > scores[store, "vector, boost"][0]


def test_the_command_prints_the_scores_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "tea.md").write_text("# Tea\n\nGreen tea is brewed at eighty degrees.\n")
    (folder / "coffee.md").write_text("# Coffee\n\nCoffee beans are roasted in autumn.\n")
    cases: list[dict[str, object]] = [
        {"question": "How is green tea brewed?", "answers": ["tea.md#Tea"]},
        {"question": "When are coffee beans roasted?", "answers": ["tea.md"]},
        {"question": "Who invented the zip?", "answers": []},
    ]
    (folder / "questions.json").write_text(json.dumps(cases))

    first = CliRunner().invoke(cli, ["evaluate", str(folder)])
    again = CliRunner().invoke(cli, ["evaluate", str(folder)])

    assert first.exit_code == 0, first.output
    assert _scores(first.stdout)["embedded", "hybrid"] == [0.5, 0.5, 1.0]
    assert again.stdout == first.stdout


@pytest.mark.parametrize("content", [None, "{", '[{"question": "?"}]'])
def test_unreadable_questions_are_reported(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "questions.json").write_text(content)

    result = CliRunner().invoke(cli, ["evaluate", str(tmp_path)])

    assert result.exit_code == 1
    assert "questions.json" in result.stderr
    assert "Traceback" not in result.output


def test_the_questions_name_existing_documents() -> None:
    for case in json.loads((DOCUMENTS / "questions.json").read_text()):
        for answer in case["answers"]:
            assert (DOCUMENTS / answer.partition("#")[0]).exists(), answer
