import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from data.config import DataConfig, TokenizerConfig
from data.corpus import prepare_corpus
from data.corpus_files import corpus_files
from data.errors import DataError
from data.files import file_digest
from data.tokenizer import END_OF_TEXT, PROBE, build_tokenizer, load_tokenizer

TALE = (
    "In the fourth quarter of 2019 the bank of England raised its policy rate by 25 basis points , while lenders in "
    "every district reported that demand for credit had fallen again ; prices of homes , cars and grain rose ."
)


def write_source(file: Path, documents: int, words: int = 60) -> Path:
    draw = random.Random(file.name)
    with file.open("w") as lines:
        for index in range(documents):
            word = ["".join(draw.choices("aeioubdklmnrst", k=draw.randrange(2, 9))) for _ in range(20)]
            text = " ".join(draw.choices(TALE.split() + word, k=words)) + f". {index}"
            lines.write(json.dumps({"id": f"d{index}", "text": text}) + "\n")
    return file


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    files = [write_source(folder / "large.jsonl", 300), write_source(folder / "small.jsonl", 60)]
    sources = [{"name": file.stem, "path": str(file)} for file in files]
    prepare_corpus(DataConfig.model_validate({"sources": sources, "past_fraction": 0.1}), folder / "corpus", seed=1)
    return folder / "corpus"


KINDS = [(kind, pre) for kind in ("bpe", "unigram") for pre in ("words", "bloomberggpt")]


@pytest.fixture(scope="module")
def folders(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """A tokenizer's folder of every kind, of 600 pieces."""
    made = {}
    for kind, pretokenization in KINDS:
        made[kind, pretokenization] = tmp_path_factory.mktemp(kind) / pretokenization
        config = TokenizerConfig.model_validate(
            {"kind": kind, "pretokenization": pretokenization, "vocabulary_size": 600}
        )
        build_tokenizer(config, corpus, made[kind, pretokenization])
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_the_vocabulary(folders: dict[tuple[str, str], Path], kind: tuple[str, str]) -> None:
    tokenizer = load_tokenizer(folders[kind])
    assert tokenizer.get_vocab_size() == 600
    assert tokenizer.token_to_id(END_OF_TEXT) == 0
    assert set(pre_tokenizers.ByteLevel.alphabet()) <= tokenizer.get_vocab().keys()


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back_exactly(folders: dict[tuple[str, str], Path], kind: tuple[str, str], text: str) -> None:
    tokenizer = load_tokenizer(folders[kind])
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text", [PROBE, "", " ", "\n" * 7, "\x00\x1f\x7f", TALE, "a" * 5_000, "٣٤ ½ ² Ⅷ", f"a {END_OF_TEXT} b"]
)
def test_awkward_texts_come_back_exactly(
    folders: dict[tuple[str, str], Path], kind: tuple[str, str], text: str
) -> None:
    tokenizer = load_tokenizer(folders[kind])
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids) == text
    assert 0 not in ids  # a document that quotes the end of text does not end there


@pytest.mark.parametrize(
    ("pretokenization", "text", "expected"),
    [
        ("bloomberggpt", "In Q4 2019, the rate", ["In Q", "4", " ", "2", "0", "1", "9", ", ", "the rate"]),
        (
            "bloomberggpt",
            "Zürich's (no. 7)\n\nend",
            ["Z", "ü", "rich", "'", "s ", "(", "no", ". ", "7", ")\n\n", "end"],
        ),
        ("words", "In Q4 2019, the rate", ["In", " Q", "4", " ", "2", "0", "1", "9", ",", " the", " rate"]),
        ("words", "Zürich's (no. 7)\n\nend", ["Zürich", "'", "s", " (", "no", ".", " ", "7", ")", "\n\n", "end"]),
        ("words", "a  b\tc\n  d", ["a", " ", " b", "\t", "c", "\n", " ", " d"]),
    ],
)
def test_pretokenization(
    folders: dict[tuple[str, str], Path], pretokenization: str, text: str, expected: list[str]
) -> None:
    # Those of BloombergGPT are its greedy pattern done by hand (arXiv 2303.17564 §2.3, with letters of ASCII only).
    tokenizer = load_tokenizer(folders["bpe", pretokenization])
    spans = [span for _, span in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
    assert [text[begin:end] for begin, end in spans] == expected


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_pieces_of_several_words_exist_where_they_should(folders: dict[tuple[str, str], Path], kind: str) -> None:
    reports = [json.loads((folders[kind, pre] / "report.json").read_text()) for pre in ("words", "bloomberggpt")]
    assert reports[0]["multi_word_pieces"] == []
    assert reports[1]["multi_word_pieces"]
    digits = [piece for report in reports for piece in report["longest_pieces"] if any(map(str.isdigit, piece))]
    assert digits == []


def test_unigram_pieces_may_be_longer_than_the_trainers_default(tmp_path: Path) -> None:
    file = tmp_path / "phrases.jsonl"
    phrases = [
        "the bank of england",
        "raised its policy rate",
        "lenders in every district",
        "demand for consumer credit",
    ]
    draw = random.Random(1)
    texts = [", ".join(" ".join(draw.choices(phrases, k=3)) for _ in range(5)) for _ in range(100)]
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    sources = [{"name": "phrases", "path": str(file)}]
    prepare_corpus(DataConfig.model_validate({"sources": sources}), tmp_path / "corpus", seed=1)
    config = TokenizerConfig(kind="unigram", pretokenization="bloomberggpt", vocabulary_size=290)
    report = build_tokenizer(config, tmp_path / "corpus", tmp_path / "tokenizer")
    assert len(report["longest_pieces"][0]) > 16


def test_the_report(corpus: Path, folders: dict[tuple[str, str], Path]) -> None:
    report = json.loads((folders["bpe", "words"] / "report.json").read_text())
    assert (report["kind"], report["vocabulary_size"], report["split"]) == ("bpe", 600, "past")
    kept = json.loads((corpus / "report.json").read_text())["sources"]
    for source, measured in report["sources"].items():
        assert measured["bytes"] == kept[source]["kept"]["past"]["bytes"]
        assert measured["bytes_per_token"] == round(measured["bytes"] / measured["tokens"], 3) > 1.5
        assert measured["tokens_per_word"] == round(measured["tokens"] / measured["words"], 3) >= 1.0
    assert report["longest_pieces"] == sorted(report["longest_pieces"], key=lambda piece: (-len(piece), piece))


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_the_same_text_gives_the_same_tokenizer(
    corpus: Path, folders: dict[tuple[str, str], Path], tmp_path: Path, kind: str
) -> None:
    config = TokenizerConfig.model_validate({"kind": kind, "vocabulary_size": 600})
    build_tokenizer(config, corpus, tmp_path)
    assert file_digest(tmp_path / "tokenizer.json") == file_digest(folders[kind, "words"] / "tokenizer.json")


def test_a_finished_tokenizer_is_recognised(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = TokenizerConfig(vocabulary_size=300)
    report = build_tokenizer(config, corpus, tmp_path / "tokenizer")
    capsys.readouterr()
    assert build_tokenizer(config, corpus, tmp_path / "tokenizer") == report
    assert capsys.readouterr().err == f"tokenizer: {tmp_path / 'tokenizer'} is up to date\n"
    build_tokenizer(TokenizerConfig(vocabulary_size=301), corpus, tmp_path / "tokenizer")
    assert "tokenizer: inputs changed (vocabulary_size), redoing" in capsys.readouterr().err
    (tmp_path / "tokenizer" / "tokenizer.json").write_text("{")
    build_tokenizer(TokenizerConfig(vocabulary_size=301), corpus, tmp_path / "tokenizer")
    assert load_tokenizer(tmp_path / "tokenizer").get_vocab_size() == 301


def test_training_text_is_taken_from_every_source_in_proportion(
    corpus: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    build_tokenizer(TokenizerConfig(vocabulary_size=300, training_bytes=40_000), corpus, tmp_path)
    assert "from 0.0 MB" in capsys.readouterr().err
    from data.tokenizer import _bytes_by_source, _sample

    sizes = _bytes_by_source(corpus, "train")
    for source, size in sizes.items():
        texts = list(_sample(corpus_files(corpus, "train")[source], 0.25))
        taken = sum(len(text.encode()) for text in texts)
        assert abs(taken - size / 4) < 500
        everything = list(_sample(corpus_files(corpus, "train")[source], 1.0))
        assert sum(len(text.encode()) for text in everything) == size
        places = [everything.index(text) for text in texts]
        assert max(later - earlier for earlier, later in itertools.pairwise(places)) <= 6


def test_too_little_text_is_refused(corpus: Path, tmp_path: Path) -> None:
    message = (
        r"yields [\d,]+ pieces, not 50,000: add text, or set "
        r"tokenizer\.vocabulary_size and model\.vocabulary_size to \d+ or less"
    )
    with pytest.raises(DataError, match=message):
        build_tokenizer(TokenizerConfig(vocabulary_size=50_000), corpus, tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_a_missing_corpus_or_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="corpus is missing or unfinished: run the stage"):
        build_tokenizer(TokenizerConfig(vocabulary_size=300), tmp_path / "corpus", tmp_path / "tokenizer")
    with pytest.raises(DataError, match=r"tokenizer\.json does not exist: run `domainlm tokenize CONFIG`"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": "none"}')
    with pytest.raises(DataError, match=r"tokenizer\.json is no tokenizer\.json of Hugging Face tokenizers: "):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_given_tokenizer_is_taken(
    corpus: Path, folders: dict[tuple[str, str], Path], tmp_path: Path, as_folder: bool
) -> None:
    given_folder = folders["unigram", "bloomberggpt"]
    path = given_folder if as_folder else given_folder / "tokenizer.json"
    report = build_tokenizer(TokenizerConfig(vocabulary_size=600, path=str(path)), corpus, tmp_path)
    assert report["kind"] == "given"
    assert load_tokenizer(tmp_path).get_vocab() == load_tokenizer(given_folder).get_vocab()


def unfit(**options: Any) -> Tokenizer:
    """A tokenizer of whole words that loses everything else."""
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 1, "a": 2} | options, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def test_a_given_tokenizer_that_does_not_fit_is_refused(
    corpus: Path, folders: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    file = tmp_path / "given.json"
    config = TokenizerConfig(vocabulary_size=300, path=str(file))
    with pytest.raises(DataError, match=r"given\.json does not exist: correct tokenizer\.path"):
        build_tokenizer(config, corpus, tmp_path / "tokenizer")
    unfit().save(str(file))
    with pytest.raises(DataError, match=r"the id of <\|endoftext\|> must be 0, but it is absent"):
        build_tokenizer(config, corpus, tmp_path / "tokenizer")
    late = unfit()
    late.add_special_tokens([AddedToken(END_OF_TEXT, special=True)])
    late.save(str(file))
    with pytest.raises(DataError, match=r"must be 0, but it is 2: take a tokenizer that begins with it, or train one"):
        build_tokenizer(config, corpus, tmp_path / "tokenizer")
    unfit(**{END_OF_TEXT: 0}).save(str(file))
    with pytest.raises(DataError, match="does not give every text back exactly: take a byte-level tokenizer"):
        build_tokenizer(config, corpus, tmp_path / "tokenizer")
    file.write_bytes((folders["bpe", "words"] / "tokenizer.json").read_bytes())
    with pytest.raises(DataError, match=r"has 600 pieces: set tokenizer\.vocabulary_size to 600, not 300"):
        build_tokenizer(config, corpus, tmp_path / "tokenizer")
