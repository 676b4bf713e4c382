"""Encoding keeps every token and byte of the corpus, alike on any machine, and never trusts half-written output."""

import datetime
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from data.errors import DataError
from data.files import finish_stage
from data.interval import Interval
from data.shards.documents import held_out_documents
from data.shards.encode import CHECKED_TEXTS, encode_corpus
from data.shards.format import Manifest, read_manifest, verify_digests
from data.source_config import END_OF_TEXT
from data.tokenizer.encoder import Encode, Encoded, join_ids
from data.tokenizer.pretokens import Digits, pattern
from train.config import CHECKOUT

DAY = datetime.date(2021, 3, 4)
TEXTS = {
    ("train", "news"): [f"Rates rose by {place} basis points in März. " * (place % 7 + 1) for place in range(90)],
    ("train", "web"): ["", "Profits fell 日本 🙂", f"A text that spells {END_OF_TEXT} out."],
    ("past", "news"): ["An earlier day.", "Another earlier day."],
    ("future", "news"): ["A later day."],
    ("future", "web"): [],
}


def write_corpus(folder: Path, texts: dict[tuple[str, str], list[str]] = TEXTS) -> Path:
    schema = pa.schema({"id": pa.string(), "text": pa.string(), "source": pa.string(), "date": pa.date32()})
    for (split, source), texts_of_source in texts.items():
        (folder / split / source).mkdir(parents=True, exist_ok=True)
        rows = [
            {"id": f"{source}-{place}", "text": text, "source": source, "date": DAY if source == "news" else None}
            for place, text in enumerate(texts_of_source)
        ]
        for part in range(2 if len(rows) > 50 else 1):
            table = pa.Table.from_pylist(rows[50 * part : 50 * (part + 1)], schema)
            pq.write_table(table, folder / split / source / f"{part:05d}.parquet", row_group_size=10)
    finish_stage(folder, {}, folder.rglob("*.parquet"))
    return folder


def write_tokenizer(folder: Path, tokenizer: Tokenizer) -> Path:
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    finish_stage(folder, {}, [folder / "tokenizer.json"])
    return folder


def train_tokenizer(vocabulary_size: int = 300) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS["train", "news"], trainer)
    return tokenizer


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer") / "bpe", train_tokenizer())


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_document_can_be_read_back(corpus: Path, tokenizer: Path, tmp_path: Path) -> None:
    manifest = encode_corpus(corpus, tokenizer, tmp_path, workers=1, seed=3, bytes_per_shard=2_000)
    assert manifest
    assert manifest == verify_digests(tmp_path)
    assert (manifest.dtype, manifest.vocabulary_size, manifest.seed) == ("uint16", 300, 3)
    assert len(manifest.source("train", "news").files) > 3
    engine = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    for (split, source), texts in TEXTS.items():
        documents = list(held_out_documents(tmp_path, split, source))
        assert [document.id for document in documents] == [f"{source}-{place}" for place in range(len(texts))]
        assert [document.bytes for document in documents] == [len(text.encode()) for text in texts]
        assert all(document.date == (Interval.of_day(DAY) if source == "news" else None) for document in documents)
        for document, text in zip(documents, texts, strict=True):
            letters = "".join(engine.id_to_token(token) for token in document.tokens.tolist())
            assert letters == "".join(token for token, _ in pre_tokenizers.ByteLevel(False).pre_tokenize_str(text))


def test_a_text_cannot_end_itself(corpus: Path, tokenizer: Path, tmp_path: Path) -> None:
    encode_corpus(corpus, tokenizer, tmp_path, workers=1, seed=0)
    ids = np.fromfile(tmp_path / "train/web-00000.bin", "<u2")
    assert ids[0] == 0  # the empty document
    assert (ids == 0).sum() == len(TEXTS["train", "web"])


@pytest.mark.parametrize(("digits", "is_said"), [("single", False), ("triples", True), ("runs", True)])
def test_what_a_digit_policy_costs_is_said(
    digits: Digits, is_said: bool, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = train_tokenizer()
    cut = pre_tokenizers.Split(Regex(pattern("words", digits)), "isolated")
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, letters])
    encode_corpus(corpus, write_tokenizer(tmp_path / "tokenizer", tokenizer), tmp_path / "shards", workers=1, seed=0)
    said = capsys.readouterr().err
    assert ("pre-token table, at four times the CPU time" in said) == is_said


def test_bytes_do_not_depend_on_workers_and_tasks(corpus: Path, tokenizer: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"seed": 0, "bytes_per_shard": 2_000}
    encode_corpus(corpus, tokenizer, tmp_path / "one", workers=1, **options)
    encode_corpus(corpus, tokenizer, tmp_path / "two", workers=2, **options)
    for index in (1, 2, 0):
        assert encode_corpus(corpus, tokenizer, tmp_path / "array", workers=1, shard=(index, 3), **options) is None
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "array").rglob("*.bin")}
    encode_corpus(corpus, tokenizer, tmp_path / "array", workers=1, **options)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "array").rglob("*.bin")} == made
    assert content(tmp_path / "one") == content(tmp_path / "two") == content(tmp_path / "array")


def test_a_killed_run_keeps_the_shards_that_are_whole(corpus: Path, tokenizer: Path, tmp_path: Path) -> None:
    fresh = content_of_fresh(corpus, tokenizer, tmp_path / "fresh")
    shards = tmp_path / "shards"
    program = (
        "import sys, pathlib, data.shards.encode; corpus, tokenizer, shards = map(pathlib.Path, sys.argv[1:])\n"
        "data.shards.encode.encode_corpus(corpus, tokenizer, shards, seed=0, workers=1, bytes_per_shard=1_000)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, corpus, tokenizer, shards], cwd=CHECKOUT, stderr=subprocess.DEVNULL
    )
    while len(list(shards.rglob("*.json"))) < 3 and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in shards.rglob("*.json")}
    assert content_of_fresh(corpus, tokenizer, shards) == fresh
    assert kept.items() <= {path: path.stat().st_mtime_ns for path in shards.rglob("*.json")}.items() or not kept


def test_finished_work_is_kept(
    corpus: Path, tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = encode_corpus(corpus, tokenizer, tmp_path, workers=1, seed=0)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert encode_corpus(corpus, tokenizer, tmp_path, workers=1, seed=0) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times
    assert "is up to date" in capsys.readouterr().err


def test_changed_inputs_are_said_and_redone(
    corpus: Path, tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = tmp_path / "shards"
    encode_corpus(corpus, tokenizer, shards, workers=1, seed=0, bytes_per_shard=1_000)
    smaller = write_corpus(tmp_path / "corpus", {("train", "news"): TEXTS["train", "news"][:9]})
    again = encode_corpus(smaller, tokenizer, shards, workers=1, seed=0, bytes_per_shard=1_000)
    assert "inputs changed (corpus_digest)" in capsys.readouterr().err
    assert content(shards) == content_of_fresh(smaller, tokenizer, tmp_path / "fresh")
    assert again
    assert again.source("train", "news").documents == 9


def content_of_fresh(corpus: Path, tokenizer: Path, folder: Path) -> dict[str, bytes]:
    encode_corpus(corpus, tokenizer, folder, workers=1, seed=0, bytes_per_shard=1_000)
    return content(folder)


def test_damaged_shards_are_redone(
    corpus: Path, tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encode_corpus(corpus, tokenizer, tmp_path, workers=1, seed=0)
    whole = content(tmp_path)
    (tmp_path / "train/news-00000.bin").write_bytes(b"")
    encode_corpus(corpus, tokenizer, tmp_path, workers=1, seed=0)
    assert "news-00000.bin has 0 bytes" in capsys.readouterr().err
    assert content(tmp_path) == whole


def test_an_interrupted_run_is_unfinished_and_can_be_run_again(
    corpus: Path, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = content_of_fresh(corpus, tokenizer, tmp_path / "fresh")
    shards = tmp_path / "shards"

    def die(folder: Path, manifest: Manifest) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("data.shards.encode.write_manifest", die)
        with pytest.raises(KeyboardInterrupt):
            encode_corpus(corpus, tokenizer, shards, workers=1, seed=0, bytes_per_shard=700)
    with pytest.raises(DataError, match=r"manifest.json does not exist"):
        read_manifest(shards)
    assert content_of_fresh(corpus, tokenizer, shards) == fresh


def word_tokenizer(end: str, words: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({end: 0, **words}, unk_token=end))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def test_a_large_vocabulary_takes_four_bytes(corpus: Path, tmp_path: Path) -> None:
    words = {
        word: 70_000 + place
        for place, word in enumerate(sorted(set(" ".join(text for texts in TEXTS.values() for text in texts).split())))
    }
    tokenizer = write_tokenizer(tmp_path / "words", word_tokenizer(END_OF_TEXT, words))
    only_news: Any = {key: texts for key, texts in TEXTS.items() if key[1] == "news"}
    manifest = encode_corpus(write_corpus(tmp_path / "corpus", only_news), tokenizer, tmp_path / "shards", seed=0)
    assert manifest
    assert (manifest.dtype, manifest.vocabulary_size) == ("uint32", 70_000 + len(words))
    first = next(held_out_documents(tmp_path / "shards", "future", "news"))
    assert first.tokens.tolist() == [words[word] for word in ("A", "later", "day.")]


def test_an_end_of_text_inside_a_text_is_refused(corpus: Path, tmp_path: Path) -> None:
    tokenizer = write_tokenizer(tmp_path / "words", word_tokenizer(END_OF_TEXT, {"Rates": 1}))
    with pytest.raises(DataError, match=r"train/news-00000: the tokenizer gives document 'news-0' id 0, but text may"):
        encode_corpus(corpus, tokenizer, tmp_path / "shards", seed=0)


def test_shards_whose_text_is_unchanged_are_kept(corpus: Path, tokenizer: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    encode_corpus(corpus, tokenizer, shards, workers=1, seed=0, bytes_per_shard=1_000)
    times = {path: path.stat().st_mtime_ns for path in shards.rglob("*.bin")}
    changed = write_corpus(tmp_path / "corpus", TEXTS | {("train", "web"): ["Another text."]})
    assert content_of_fresh(changed, tokenizer, shards) == content_of_fresh(changed, tokenizer, tmp_path / "fresh")
    made_again = {path for path in shards.rglob("*.bin") if path.stat().st_mtime_ns != times.get(path)}
    assert made_again == {shards / "train/web-00000.bin"}


def test_a_corpus_file_that_is_no_utf8_is_named(tokenizer: Path, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    file = sorted((corpus / "train").rglob("*.parquet"))[0]
    table = pq.read_table(file)
    texts = pa.array([b"ab\xff"] * len(table)).view(pa.string())
    pq.write_table(table.set_column(table.column_names.index("text"), "text", texts), file)
    finish_stage(corpus, {}, list(corpus.rglob("*.parquet")))
    with pytest.raises(DataError, match=rf"{file} is damaged \(.*UTF"):
        encode_corpus(corpus, tokenizer, tmp_path / "shards", seed=1, workers=1)


def test_a_changed_byte_of_the_corpus_is_seen(tokenizer: Path, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", {("train", "news"): ["The rate rose."]})
    (file,) = corpus.rglob("*.parquet")
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"The rate rose.", b"The rate fell."))
    assert pq.read_table(file)["text"].to_pylist() == ["The rate fell."], "it can be read"
    with pytest.raises(DataError, match=rf"{file} is not as it was written: delete it, and run"):
        encode_corpus(corpus, tokenizer, tmp_path / "shards", seed=0, workers=1)
    file.write_bytes(whole)
    assert encode_corpus(corpus, tokenizer, tmp_path / "shards", seed=0, workers=1)


def test_a_file_that_the_corpus_does_not_know_is_refused(tokenizer: Path, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", {("train", "news"): ["A text."]})
    shutil.copy(corpus / "train/news/00000.parquet", corpus / "train/news/00009.parquet")
    with pytest.raises(DataError, match=r"00009.parquet is not in the corpus's manifest.json"):
        encode_corpus(corpus, tokenizer, tmp_path / "shards", workers=1, seed=0)


def test_an_engine_that_errs_in_one_shard_is_left_in_all(
    corpus: Path, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh = content_of_fresh(corpus, tokenizer, tmp_path / "fresh")

    def hasty(definition: dict[str, Any], exact: Encode) -> Encode:
        engine = Tokenizer.from_str(json.dumps(definition))
        engine.encode_special_tokens = True

        def encode(texts: pa.Array) -> Encoded:
            # seen in one place only: what it does to documents between the samples is not
            wrong = "by 89 basis" if len(texts) <= CHECKED_TEXTS else "by 1 basis"
            ids = [engine.encode(text.replace(wrong, "by 8 basis")).ids for text in texts.to_pylist()]
            return join_ids([np.array(one, np.uint32) for one in ids])

        return encode

    monkeypatch.setattr("data.tokenizer.encoder.ENGINES", {"hasty": hasty})
    made = content_of_fresh(corpus, tokenizer, tmp_path / "shards")
    assert made.keys() == fresh.keys()
    notes = {name for name in fresh if name.endswith(".json") and name != "manifest.json"}
    assert all(made[name] == fresh[name] for name in fresh.keys() - notes)
    said = capsys.readouterr().err
    assert "with hasty" in said
    assert "shards: hasty gives other ids than tokenizers for the text 'Rates rose by 89" in said
    assert "making all of them again with the next engine" in said
