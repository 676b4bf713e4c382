"""What a question sees: nothing later than its date, nothing held out, nothing that does not answer."""

import datetime
import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.config import DataConfig
from data.corpus.build import prepare_corpus
from data.corpus.files import corpus_files
from data.errors import DataError
from data.interval import Interval
from data.retrieval.build import build_index, index_inputs
from data.retrieval.search import Bound, Passage, Search, open_index
from data.retrieval.vectors import Embedder

WORDS = 20
DAYS = st.dates(datetime.date(2000, 1, 1), datetime.date(2009, 12, 31))
PERIODS = st.lists(DAYS, min_size=2, max_size=2).map(lambda ends: f"{min(ends)}/{max(ends)}")
TOPICS = ["tariff wool", "interest rate", "R&D of AT&T", "5 % of income"]
DOCUMENT = st.fixed_dictionaries(
    {
        "topic": st.sampled_from(TOPICS),
        "date": st.none() | DAYS | PERIODS,
        "source": st.sampled_from(["news", "other"]),
        "paragraphs": st.integers(1, 3),
    }
)


def embedder(digest: str = "model") -> Embedder:
    """Letters of a text, counted."""

    def embed(texts: list[str]) -> np.ndarray:
        counts = np.array([[text.lower().count(letter) + 0.1 for letter in "abcdefgh"] for text in texts], np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    return Embedder(digest, 8, embed, lambda text: embed([text])[0])


def write_corpus(folder: Path, documents: list[dict], past: float = 0.2) -> DataConfig:
    """A corpus of dated and undated documents in two sources."""
    for source in ("news", "other"):
        records = [
            {
                "id": f"{source}-{number}",
                "date": document["date"] and str(document["date"]),
                "url": f"https://example.org/{number}",
                "text": "\n\n".join(
                    f"Document {number} paragraph {place} is about {document['topic']} and nothing else, in "
                    f"{'many words ' * 4}of number {number * 7 + place}."
                    for place in range(document["paragraphs"])
                ),
            }
            for number, document in enumerate(documents)
            if document["source"] == source
        ]
        file = folder / f"{source}.jsonl"
        file.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    sources = [
        {"name": source, "path": str(folder / f"{source}.jsonl"), "undated": "train"}
        for source in ("news", "other")
        if (folder / f"{source}.jsonl").stat().st_size
    ]
    config = DataConfig.model_validate(
        {
            "sources": sources,
            "cutoff": "2008-01-01",
            "past_fraction": past,
            "near_duplicates": None,
            "workers": 1,
            "minimum_characters": 1,
        }
    )
    prepare_corpus(config, folder / "corpus", seed=1)
    return config


def indexed(config: DataConfig, folder: Path, method: str = "bm25") -> Search:
    model = embedder() if method != "bm25" else None
    build_index(config, folder / "corpus", folder / "retrieval", WORDS, model)
    wanted = index_inputs(config, folder / "corpus", WORDS, model.digest if model else None)
    return Search(open_index(folder / "retrieval", wanted), method, model)


def texts_of(folder: Path, split: str) -> dict[tuple[str, str], tuple[str, Interval | None]]:
    files = [file for of_source in corpus_files(folder / "corpus", split).values() for file in of_source]
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    return {
        (row["source"], row["id"]): (row["text"], Interval.of_columns(row["first_date"], row["last_date"]))
        for row in rows
    }


FIXED = [
    {"topic": topic, "date": date, "source": source, "paragraphs": 2}
    for source in ("news", "other")
    for topic in TOPICS
    for date in (None, datetime.date(2001, 5, 1), datetime.date(2005, 5, 1), datetime.date(2009, 5, 1))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fixed")
    write_corpus(folder, FIXED, past=0.0)
    return folder


@pytest.fixture(scope="module")
def search(folder: Path) -> Search:
    return indexed(write_corpus(folder, FIXED, past=0.0), folder)


@given(
    documents=st.lists(DOCUMENT, max_size=12),
    bounds=st.lists(st.builds(Bound, st.none() | DAYS, st.booleans()), min_size=1, max_size=8),
)
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
def test_nothing_later_and_nothing_held_out_is_ever_found(
    tmp_path_factory: pytest.TempPathFactory, documents: list[dict], bounds: list[Bound]
) -> None:
    """And all that may be seen is found, by a question that is about every document."""
    folder = tmp_path_factory.mktemp("property")
    documents = [*documents, *[one for one in FIXED if one["topic"] == "tariff wool"]]
    config = write_corpus(folder, documents)
    trained, held_out = texts_of(folder, "train"), texts_of(folder, "future") | texts_of(folder, "past")
    assert held_out
    search = indexed(config, folder, "hybrid")
    for bound, method in itertools.product(bounds, ("bm25", "dense", "hybrid")):
        asked = Search(search.index, method, search.embedder)
        for question in (*TOPICS, "document paragraph"):
            found = asked.find(question, 1000, bound)
            for passage in found:
                text, day = trained[passage.source, passage.id]
                assert (passage.source, passage.id) not in held_out
                assert passage.text in text
                assert passage.date == day
                assert bound.undated if day is None else bound.date is None or day.last <= bound.date
        seen = {(passage.source, passage.id) for passage in found}
        days = {key: day for key, (_, day) in trained.items()}
        assert seen == {
            key
            for key, day in days.items()
            if (bound.undated if day is None else bound.date is None or day.last <= bound.date)
        }


def test_a_dated_search_is_that_of_the_index_of_that_day(tmp_path: Path, search: Search) -> None:
    """Scores too: what came later has no part in them."""
    day = datetime.date(2003, 1, 1)
    earlier = [document for document in FIXED if document["date"] and document["date"] <= day]
    ids = [number for number, document in enumerate(FIXED) if document in earlier]
    dated = [dict(document) for document in FIXED]
    for number, document in enumerate(dated):
        if number not in ids:
            document["topic"] = "5 % " * 9
    changed = indexed(write_corpus(tmp_path, dated, past=0.0), tmp_path)
    for question in TOPICS:
        ours, theirs = (one.find(question, 50, Bound(day, undated=False)) for one in (search, changed))
        assert ours
        assert [(p.id, p.text, p.score) for p in ours] == [(p.id, p.text, p.score) for p in theirs]


@pytest.mark.parametrize("question", ["AT&T", "R&D", "5 %"])
def test_short_words_and_signs_find_their_passages_and_no_others(search: Search, question: str) -> None:
    found = search.find(question, 1000)
    about = "5 %" if question == "5 %" else "R&D of AT&T"
    assert found[0].score > 0
    assert about in found[0].text
    if question != "5 %":
        assert all(question in passage.text for passage in found)


def test_what_is_nowhere_finds_nothing_and_a_number_too_large_finds_what_there_is(search: Search) -> None:
    assert search.find("zebra", 5) == []
    assert len(search.find("tariff", 10**9)) == len({p.number for p in search.find("tariff", 1000)}) > 5
    assert search.find("tariff", 5, Bound(datetime.date(1999, 1, 1), undated=False)) == []


@pytest.mark.parametrize(
    ("question", "said"), [("", "is empty"), (" \n", "is empty"), ("…", "has no word"), ("\ud800", "UTF-8")]
)
def test_questions_that_are_none_are_refused(search: Search, question: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        search.find(question, 5)


def test_hybrid_is_the_sum_of_reciprocal_ranks(tmp_path: Path) -> None:
    both = indexed(write_corpus(tmp_path, FIXED, past=0.0), tmp_path, "hybrid")

    def ranks(method: str) -> dict[int, int]:
        found = Search(both.index, method, embedder()).find("interest rate", 100)
        return {passage.number: rank for rank, passage in enumerate(found, start=1)}

    words, likeness = ranks("bm25"), ranks("dense")
    for passage in both.find("interest rate", 1000):
        expected = sum(1 / (60 + of[passage.number]) for of in (words, likeness) if passage.number in of)
        assert passage.score == pytest.approx(expected, rel=1e-12)


def test_an_index_of_something_else_is_refused(folder: Path, search: Search) -> None:
    wanted = {"format": 2, "corpus": "another", "retrieval.embedding": None}
    with pytest.raises(
        DataError, match=r"another or an older corpus.*\(changed: corpus\): run `domainlm retrieve CONFIG`"
    ):
        open_index(folder / "retrieval", wanted)
    with pytest.raises(DataError, match="is no finished index"):
        open_index(folder / "nowhere", wanted)


def test_a_passage_says_where_it_is_from(search: Search) -> None:
    (passage,) = search.find("tariff wool number 0", 1)
    assert isinstance(passage, Passage)
    assert (passage.source, passage.url) == ("news", f"https://example.org/{passage.id.removeprefix('news-')}")
