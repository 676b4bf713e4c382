"""Scores of documents: kept as they are measured, shared out, the same however they came about."""

import datetime
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.corpus.files import CORPUS_SCHEMA
from data.errors import DataError
from data.interval import Interval
from data.shards.format import EncodedDocument
from evaluation import scores
from evaluation.bits_per_byte import HeldOut
from evaluation.language_model import LanguageModel
from evaluation.scores import Text, score_model

TEXTS = {f"d{i}": f"{'Rates rose by a quarter point. ' * (1 + i % 4)}Item {i}." for i in range(12)}


def bytes_of(text: str) -> list[int]:
    return [0, *(1 + byte for byte in text.encode())]


def text_of(ids: Sequence[int]) -> str:
    return bytes(id_ - 1 for id_ in ids).decode()


def byte_losses(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return 1.0 + np.sin(inputs * 1.3 + targets * 0.7)


MODEL = LanguageModel(
    name="bytes",
    digest="m",
    parameters=10,
    window=64,
    encode=bytes_of,
    decode=text_of,
    token_losses=byte_losses,
    batch_tokens=128,
    device="cpu, float64",
)


@pytest.fixture
def text(tmp_path: Path) -> Text:
    """Twelve documents of the split `future`, whose shards are in the ids of another tokenizer."""
    folder = tmp_path / "corpus" / "future" / "bank"
    folder.mkdir(parents=True)
    rows = [{"id": id_, "text": content, "source": "bank"} for id_, content in reversed(TEXTS.items())]
    pq.write_table(pa.Table.from_pylist(rows, CORPUS_SCHEMA), folder / "00000.parquet")
    day = Interval.of_day(datetime.date(2021, 1, 1))
    documents = [
        HeldOut("bank", "future", EncodedDocument(id_, day, np.arange(3, dtype=np.uint16), len(content.encode())))
        for id_, content in TEXTS.items()
    ]
    return Text("shards", "tokenizer", tmp_path / "corpus", documents)


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "GROUP_BYTES", 150)


def expected(content: str) -> float:
    ids = np.array(bytes_of(content))
    return float(byte_losses(ids[:-1], ids[1:]).sum())


def test_a_model_with_another_tokenizer_reads_the_texts(text: Text, tmp_path: Path) -> None:
    found = score_model(MODEL, text, tmp_path / "scores")
    assert found is not None
    for document, content in zip(found.documents, TEXTS.values(), strict=True):
        assert document.score.nats == pytest.approx(expected(content), rel=1e-12)
        assert document.score.tokens == document.score.bytes == len(content.encode())
    assert found.tokens_per_second > 0
    assert found.peak_bytes > 1_000_000


def test_the_shards_own_tokenizer_needs_no_texts(text: Text, tmp_path: Path) -> None:
    own = replace(MODEL, tokenizer_digest="tokenizer", encode=lambda text: pytest.fail("encoded again"))
    found = score_model(own, replace(text, corpus=tmp_path / "none"), tmp_path / "scores")
    assert found is not None
    assert [document.score.tokens for document in found.documents] == [3] * 12


@pytest.mark.usefixtures("small_groups")
def test_one_that_was_stopped_goes_on_where_it_was(text: Text, tmp_path: Path) -> None:
    whole = score_model(MODEL, text, tmp_path / "whole")
    calls = 0

    def interrupted(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return byte_losses(inputs, targets)

    with pytest.raises(KeyboardInterrupt):
        score_model(replace(MODEL, token_losses=interrupted), text, tmp_path / "scores")
    (file,) = (tmp_path / "scores").glob("*/scores.jsonl")
    done = [json.loads(line)["group"] for line in file.read_text().splitlines()]
    assert done
    with file.open("a") as lines:
        lines.write('{"group": 3, "scor')  # as a process leaves it that dies while it writes
    scored: list[int] = []

    def counted(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        scored.append(1)
        return byte_losses(inputs, targets)

    found = score_model(replace(MODEL, token_losses=counted), text, tmp_path / "scores")
    assert found is not None
    assert whole is not None
    assert found.documents == whole.documents
    groups = [json.loads(line)["group"] for line in file.read_text().splitlines() if line.endswith("}")]
    assert sorted(groups) == list(range(len(groups)))
    assert groups[: len(done)] == done
    scored.clear()
    assert score_model(replace(MODEL, token_losses=counted), text, tmp_path / "scores") == found
    assert not scored, "what is done is not measured again"


@pytest.mark.usefixtures("small_groups")
def test_shares_of_several_processes_are_the_whole(text: Text, tmp_path: Path) -> None:
    whole = score_model(MODEL, text, tmp_path / "whole")
    assert score_model(MODEL, text, tmp_path / "scores", shard=(2, 3)) is None
    assert score_model(MODEL, text, tmp_path / "scores", shard=(0, 3)) is None
    last = score_model(MODEL, text, tmp_path / "scores", shard=(1, 3))
    assert last is not None
    assert whole is not None
    assert last.documents == whole.documents


@pytest.mark.parametrize(
    "other",
    [
        lambda model, text: (replace(model, digest="n"), text),
        lambda model, text: (replace(model, window=32), text),
        lambda model, text: (replace(model, device="cpu, bfloat16"), text),
        lambda model, text: (model, replace(text, digest="other")),
        lambda model, text: (model, replace(text, documents=text.documents[:3])),
    ],
)
def test_what_was_measured_otherwise_is_measured_again(
    text: Text, tmp_path: Path, other: Callable[[LanguageModel, Text], tuple[LanguageModel, Text]]
) -> None:
    score_model(MODEL, text, tmp_path / "scores")
    model, changed = other(MODEL, text)
    calls: list[int] = []
    counted = replace(model, token_losses=lambda inputs, targets: calls.append(1) or byte_losses(inputs, targets))
    assert score_model(counted, changed, tmp_path / "scores") is not None
    assert calls


def test_a_tokenizer_that_loses_text_is_refused_and_canonical_forms_are_not(text: Text, tmp_path: Path) -> None:
    lossy = replace(MODEL, decode=lambda ids: text_of(ids).lower())
    with pytest.raises(DataError, match="does not give document d0 of bank back as it is"):
        score_model(lossy, text, tmp_path / "scores")
    assert score_model(replace(MODEL, decode=lambda ids: " " + text_of(ids)), text, tmp_path / "scores") is not None


def test_a_corpus_without_the_document_is_named(text: Text, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no future document d0 of bank"):
        score_model(MODEL, replace(text, corpus=tmp_path / "none"), tmp_path / "scores")


def test_bits_of_a_document_are_of_its_bytes(text: Text, tmp_path: Path) -> None:
    uniform = replace(MODEL, token_losses=lambda inputs, targets: np.full(inputs.shape, math.log(256)))
    found = score_model(uniform, text, tmp_path / "scores")
    assert found is not None
    assert {round(document.score.bits_per_byte, 12) for document in found.documents} == {8.0}
