"""Tests splitting into words, in scripts with and without spaces."""

import pytest

from chatkit_engine.features.rag.embeddings.local import LocalEmbedder
from chatkit_engine.features.rag.fulltext import WordHits
from chatkit_engine.features.rag.words import words_of


def test_words_of_scripts_without_spaces_are_their_pairs_of_letters() -> None:
    assert words_of("用醋清洗 den Kessel3 水") == ["用醋", "醋清", "清洗", "den", "kessel3", "水"]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("größe", "Die GRÖSSE steht auf dem Boden."),
        ("calibrate", "After the calibration."),
        ("ring", "(Ring)"),
        ("醋清", "每个月用醋清洗一次水壶。"),
        ("c", "C++"),
    ],
)
def test_a_word_is_found_in_other_forms_and_scripts(word: str, text: str) -> None:
    assert WordHits([], {word: 1.0}).coverage(text) == 1


@pytest.mark.parametrize(
    ("word", "text"), [("ring", "rings, boring"), ("liquid", "illiquid"), ("c", "cat")]
)
def test_a_word_is_not_found_within_another(word: str, text: str) -> None:
    assert WordHits([], {word: 1.0}).coverage(text) == 0


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("用醋清洗", "水壶使用之前必须先插上电源。每个月用醋清洗一次水壶。"),
        ("やかんの掃除", "やかんは毎月酢で掃除してください。"),
        ("GRÖSSE", "Die Größe steht auf dem Boden."),
    ],
)
async def test_the_local_embedder_finds_a_part_of_a_sentence(query: str, text: str) -> None:
    embedder = LocalEmbedder()

    asked, there = await embedder.embed([query, text])

    assert float(asked @ there) >= embedder.min_similarity
