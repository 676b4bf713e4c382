import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from data.config import DataConfig, TokenizerConfig
from data.corpus.build import prepare_corpus
from data.corpus.files import corpus_files
from data.errors import DataError
from data.files import file_digest
from data.shards.documents import held_out_documents
from data.shards.encode import encode_corpus
from data.source_config import END_OF_TEXT
from data.tokenizer.build import PROBE, build_tokenizer, check_made_with, end_of_text_id, load_tokenizer
from data.tokenizer.text import bytes_by_source
from evaluation.bits_per_byte import score_documents
from evaluation.pages.tokenizer_figures import read_tokenizer_report

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
        build_tokenizer(config, corpus, made[kind, pretokenization], workers=1)
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
        ("words", "Zürich's (no. 7)\n\nend", ["Zürich", "'s", " (", "no", ".", " ", "7", ")\n\n", "end"]),
        ("words", "a  b\tc\n  d", ["a", " ", " b", "\tc", "\n", " ", " d"]),
    ],
)
def test_pretokenization(
    folders: dict[tuple[str, str], Path], pretokenization: str, text: str, expected: list[str]
) -> None:
    # Those of BloombergGPT are its greedy pattern done by hand (arXiv 2303.17564 §2.3, with letters of ASCII only).
    tokenizer = load_tokenizer(folders["bpe", pretokenization])
    spans = [span for _, span in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
    assert [text[begin:end] for begin, end in spans] == expected


def test_pieces_of_several_words_exist_where_they_should(folders: dict[tuple[str, str], Path]) -> None:
    reports = [json.loads((folders["bpe", pre] / "report.json").read_text()) for pre in ("words", "bloomberggpt")]
    assert (reports[0]["multi_word_pieces"], reports[0]["samples"]["multi_word"]) == (0, [])
    assert reports[1]["multi_word_pieces"] > 0
    assert reports[1]["samples"]["multi_word"]
    digits = [piece for report in reports for piece in report["samples"]["longest"] if any(map(str.isdigit, piece))]
    assert digits == []


def test_unigram_pieces_may_be_phrases(tmp_path: Path) -> None:
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
    report = build_tokenizer(config, tmp_path / "corpus", tmp_path / "tokenizer", workers=1)
    assert len(report["samples"]["longest"][0]) > 16
    assert report["multi_word_pieces"] > 0
    assert report["samples"]["multi_word"]


def test_the_report(corpus: Path, folders: dict[tuple[str, str], Path]) -> None:
    report = json.loads((folders["bpe", "words"] / "report.json").read_text())
    assert read_tokenizer_report(folders["bpe", "words"] / "report.json").model_dump(mode="json") == report
    assert (report["kind"], report["pretokenization"], report["digits"]) == ("bpe", "words", "single")
    assert (report["vocabulary_size"], report["split"], report["sweep"]) == (600, "past", [])
    kept = json.loads((corpus / "report.json").read_text())["sources"]
    tokenizer = load_tokenizer(folders["bpe", "words"])
    for source, measured in report["sources"].items():
        assert measured["bytes"] == kept[source]["kept"]["past"]["bytes"]
        (file,) = corpus_files(corpus, "past")[source]
        texts = pq.read_table(file)["text"].to_pylist()
        assert measured["tokens"] == sum(len(tokenizer.encode(text).ids) for text in texts)
        assert measured["words"] == sum(len(text.split()) for text in texts)
    training = report["training"]
    assert training["documents"] == sum(source["kept"]["train"]["documents"] for source in kept.values())
    assert training["bytes"] == sum(source["kept"]["train"]["bytes"] for source in kept.values())
    assert (training["cut_pretokens"], training["chunks"]) == (0, None)


def test_settings_show_in_the_tokenizer_and_its_report(
    corpus: Path, folders: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    settings = {
        "vocabulary_size": 500, "digits": "runs", "special_tokens": ["<|user|>", "<|end|>"], "max_piece_length": 4,
        "sweep": [400, 600, 100_000], "compare": {"words": str(folders["bpe", "words"])},
    }  # fmt: skip
    reports = {}
    for kind in ("bpe", "unigram"):
        report = build_tokenizer(
            TokenizerConfig.model_validate({"kind": kind, **settings}), corpus, tmp_path / kind, workers=1
        )
        read_tokenizer_report(tmp_path / kind / "report.json")
        tokenizer = load_tokenizer(tmp_path / kind)
        assert [tokenizer.id_to_token(number) for number in range(3)] == [END_OF_TEXT, "<|user|>", "<|end|>"]
        text = "<|user|> 2019 <|end|>"
        assert min(tokenizer.encode(text).ids) > 2
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
        assert max(map(len, tokenizer.get_vocab().keys() - {END_OF_TEXT, "<|user|>", "<|end|>"})) == 4
        assert [point["vocabulary_size"] for point in report["sweep"]] == [400, 500, 600]
        assert sorted((point["tokens"] for point in report["sweep"]), reverse=True) == [
            point["tokens"] for point in report["sweep"]
        ]
        assert report["sweep"][1]["tokens"] == sum(source["tokens"] for source in report["sources"].values())
        own = json.loads((folders["bpe", "words"] / "report.json").read_text())
        assert report["compared"]["words"] == {key: own[key] for key in report["compared"]["words"]}
        reports[kind] = report
    assert reports["unigram"]["training"]["chunks"] == 2


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_the_same_text_gives_the_same_tokenizer(
    corpus: Path, folders: dict[tuple[str, str], Path], tmp_path: Path, kind: str
) -> None:
    config = TokenizerConfig.model_validate({"kind": kind, "vocabulary_size": 600})
    build_tokenizer(config, corpus, tmp_path, workers=2)
    assert file_digest(tmp_path / "tokenizer.json") == file_digest(folders[kind, "words"] / "tokenizer.json")


def test_a_finished_tokenizer_is_recognised(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = TokenizerConfig(vocabulary_size=300)
    report = build_tokenizer(config, corpus, tmp_path / "tokenizer", workers=1)
    capsys.readouterr()
    assert build_tokenizer(config, corpus, tmp_path / "tokenizer", workers=1) == report
    assert capsys.readouterr().err == f"tokenizer: {tmp_path / 'tokenizer'} is up to date\n"
    build_tokenizer(TokenizerConfig(vocabulary_size=301), corpus, tmp_path / "tokenizer", workers=1)
    assert "tokenizer: inputs changed (vocabulary_size), redoing" in capsys.readouterr().err
    (tmp_path / "tokenizer" / "tokenizer.json").write_text("{")
    build_tokenizer(TokenizerConfig(vocabulary_size=301), corpus, tmp_path / "tokenizer", workers=1)
    assert load_tokenizer(tmp_path / "tokenizer").get_vocab_size() == 301


def test_training_text_may_be_a_part(corpus: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    total = sum(bytes_by_source(corpus, "train").values())
    for kind in ("bpe", "unigram"):
        config = TokenizerConfig.model_validate({"kind": kind, "vocabulary_size": 300, "training_bytes": total // 4})
        report = build_tokenizer(config, corpus, tmp_path / kind, workers=1)
        assert abs(report["training"]["bytes"] - total / 4) < 1000
        assert f"({kind}) from {total / 4e6:,.1f} MB" in capsys.readouterr().err


def test_too_little_text_is_refused(corpus: Path, tmp_path: Path) -> None:
    message = (
        r"yields [\d,]+ pieces, not 50,000: add text, or set "
        r"tokenizer\.vocabulary_size and model\.vocabulary_size to \d+ or less"
    )
    with pytest.raises(DataError, match=message):
        build_tokenizer(TokenizerConfig(vocabulary_size=50_000), corpus, tmp_path, workers=1)
    assert not (tmp_path / "manifest.json").exists()


def test_a_missing_corpus_or_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="corpus is missing or unfinished: run `domainlm prepare CONFIG`"):
        build_tokenizer(TokenizerConfig(vocabulary_size=300), tmp_path / "corpus", tmp_path / "tokenizer", workers=1)
    with pytest.raises(DataError, match=r"tokenizer\.json does not exist: run `domainlm tokenize CONFIG`"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": "none"}')
    with pytest.raises(DataError, match=r"tokenizer\.json is no tokenizer\.json of Hugging Face tokenizers: "):
        load_tokenizer(tmp_path)


def test_two_pieces_of_one_id_are_refused_by_name(folders: dict[tuple[str, str], Path], tmp_path: Path) -> None:
    content = json.loads((folders["bpe", "words"] / "tokenizer.json").read_bytes())
    first, second = sorted(content["model"]["vocab"], key=content["model"]["vocab"].__getitem__)[-2:]
    content["model"]["vocab"][second] = number = content["model"]["vocab"][first]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=rf"tokenizer.json gives the id {number} to two pieces, '") as refused:
        load_tokenizer(tmp_path)
    assert repr(first) in str(refused.value)
    assert repr(second) in str(refused.value)


def test_a_changed_byte_is_seen_when_the_tokenizer_is_read_and_mended_when_it_is_made(
    corpus: Path, tmp_path: Path
) -> None:
    config = TokenizerConfig(vocabulary_size=300)
    build_tokenizer(config, corpus, tmp_path, workers=1)
    file = tmp_path / "tokenizer.json"
    content = file.read_bytes()
    file.write_bytes(content.replace(b'"id": 0', b'"id": 1'))
    with pytest.raises(
        DataError, match=r"tokenizer\.json is not as it was written: run `domainlm tokenize CONFIG` again"
    ):
        load_tokenizer(tmp_path)
    build_tokenizer(config, corpus, tmp_path, workers=1)
    assert file.read_bytes() == content


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_given_tokenizer_is_taken(
    corpus: Path, folders: dict[tuple[str, str], Path], tmp_path: Path, as_folder: bool
) -> None:
    given_folder = folders["unigram", "bloomberggpt"]
    path = given_folder if as_folder else given_folder / "tokenizer.json"
    report = build_tokenizer(TokenizerConfig(vocabulary_size=600, path=str(path)), corpus, tmp_path)
    assert report["kind"] == "given"
    assert load_tokenizer(tmp_path).get_vocab() == load_tokenizer(given_folder).get_vocab()


def published(folders: dict[tuple[str, str], Path], folder: Path) -> Path:
    """A tokenizer as general models have them: it composes characters and puts a mark in front of each text.

    Its pieces are those of a learnt one, but marks have the last ids instead of the first.
    """
    definition = json.loads((folders["bpe", "words"] / "tokenizer.json").read_text())
    vocabulary = definition["model"]["vocab"]
    definition["model"]["vocab"] = {piece: place - 1 for piece, place in vocabulary.items() if piece != END_OF_TEXT}
    definition["added_tokens"] = []
    tokenizer = Tokenizer.from_str(json.dumps(definition))
    tokenizer.add_special_tokens([AddedToken("<s>", special=True), AddedToken("</s>", special=True)])
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 599)])
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}')
    return folder


def test_the_tokenizer_of_a_general_model_is_taken_as_it_is(
    corpus: Path, folders: dict[tuple[str, str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = published(folders, tmp_path / "given")
    config = TokenizerConfig(vocabulary_size=601, path=str(given), end_of_text="</s>")
    report = build_tokenizer(config, corpus, tmp_path / "taken", workers=1)
    assert report["end_of_text_id"] == end_of_text_id(tmp_path / "taken") == 600
    assert "composes characters (NFC)" in capsys.readouterr().err
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "taken" / name).read_bytes() == (given / name).read_bytes()
    tokenizer = load_tokenizer(tmp_path / "taken")
    assert 599 not in tokenizer.encode("the bank").ids, "nothing is put in front of a text"
    assert 600 not in tokenizer.encode("a </s> b").ids, "a text cannot end itself"
    assert Tokenizer.from_file(str(given / "tokenizer.json")).encode("the bank").ids[0] == 599

    # Documents end with the tokenizer's own mark, and the next one is scored behind it.
    encode_corpus(corpus, tmp_path / "taken", tmp_path / "shards", seed=0, workers=1)
    documents = list(held_out_documents(tmp_path / "shards", "past", "large"))
    assert {document.end_of_text for document in documents} == {600}
    first_inputs = []

    def record(inputs: Any, targets: Any) -> Any:
        first_inputs.extend(inputs[:, 0].tolist())
        return inputs * 0.0

    score_documents(record, tmp_path / "shards", sequence_length=10_000, batch_size=4)
    assert set(first_inputs) == {600}

    # Another mark of the same tokenizer makes other shards.
    changed = config.model_copy(update={"end_of_text": "<s>"})
    build_tokenizer(changed, corpus, tmp_path / "taken", workers=1)
    encode_corpus(corpus, tmp_path / "taken", tmp_path / "shards", seed=0, workers=1)
    assert "inputs changed (end_of_text)" in capsys.readouterr().err
    assert {document.end_of_text for document in held_out_documents(tmp_path / "shards", "past", "large")} == {599}


def test_a_given_tokenizer_is_extended(
    corpus: Path, folders: dict[tuple[str, str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = published(folders, tmp_path / "given")
    config = TokenizerConfig(vocabulary_size=641, path=str(given), end_of_text="</s>", extend=40)
    made = build_tokenizer(config, corpus, tmp_path / "extended", workers=1)
    assert "learning 40 further pieces (bpe) from" in capsys.readouterr().err
    report = read_tokenizer_report(tmp_path / "extended" / "report.json")
    assert (report.kind, report.vocabulary_size, report.end_of_text_id) == ("extended", 641, 600)
    assert report.extension is not None
    assert report.extension.new_pieces == 40
    assert len(report.extension.best) == 40
    before, past = report.compared["before the extension"], report.extension.text["past"]
    assert (past.bytes, past.before, past.after) == (before.total.bytes, before.total.tokens, report.total.tokens)
    assert all(text.after < text.before for text in report.extension.text.values())
    assert report.training is not None
    assert report.training.bytes == sum(bytes_by_source(corpus, "train").values())
    old, new = load_tokenizer(given), load_tokenizer(tmp_path / "extended")
    assert old.get_vocab().items() <= new.get_vocab().items()
    whole = Tokenizer.from_file(str(tmp_path / "extended" / "tokenizer.json"))
    assert whole.encode("the bank").ids[0] == 599, "other uses of it are as before"
    assert (tmp_path / "extended" / "tokenizer_config.json").read_bytes() == (
        given / "tokenizer_config.json"
    ).read_bytes()

    assert build_tokenizer(config, corpus, tmp_path / "extended", workers=1) == made
    content = (tmp_path / "extended" / "tokenizer.json").read_bytes()
    build_tokenizer(config, corpus, tmp_path / "again", workers=2)
    assert (tmp_path / "again" / "tokenizer.json").read_bytes() == content
    check_made_with(config, tmp_path / "extended")
    changed = config.model_copy(update={"extend": 39, "max_piece_length": 8})
    with pytest.raises(
        DataError, match=r"tokenizer\.extend 40, which is 39 now; tokenizer\.max_piece_length 64, which"
    ):
        check_made_with(changed, tmp_path / "extended")
    with pytest.raises(DataError, match=r"tokenizer\.extend 40, which is null now"):
        check_made_with(config.model_copy(update={"extend": None}), tmp_path / "extended")


def test_an_extension_that_does_not_fit_is_refused(
    corpus: Path, folders: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    given = published(folders, tmp_path / "given")
    config = TokenizerConfig(vocabulary_size=601, path=str(given), end_of_text="</s>", extend=40)
    said = (
        r"has 601 pieces, and tokenizer\.extend adds 40: set tokenizer\.vocabulary_size to 641, not 601, and "
        r"model\.vocabulary_size to that or more"
    )
    with pytest.raises(DataError, match=said):
        build_tokenizer(config, corpus, tmp_path / "tokenizer", workers=1)
    many = config.model_copy(update={"vocabulary_size": 100_601, "extend": 100_000})
    with pytest.raises(DataError, match=r"yields [\d,]+ further pieces that occur 2 times or more, not 100,000: add"):
        build_tokenizer(many, corpus, tmp_path / "tokenizer", workers=1)
    unigram = TokenizerConfig(vocabulary_size=640, path=str(folders["unigram", "words"]), extend=40)
    with pytest.raises(DataError, match=r"cannot be extended: it is a Unigram"):
        build_tokenizer(unigram, corpus, tmp_path / "tokenizer", workers=1)
    assert not (tmp_path / "tokenizer" / "tokenizer.json").exists()
    with pytest.raises(ValidationError, match="extend is for a tokenizer that is given by path"):
        TokenizerConfig(vocabulary_size=600, extend=40)


def test_a_trained_tokenizer_has_its_own_end_of_text() -> None:
    with pytest.raises(ValidationError, match="end_of_text is for a tokenizer that is given by path"):
        TokenizerConfig(vocabulary_size=600, end_of_text="</s>")


def unfit(**options: Any) -> Tokenizer:
    """A tokenizer of whole words that loses everything else."""
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1} | options, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def test_a_given_tokenizer_that_does_not_fit_is_refused(
    corpus: Path, folders: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    file = tmp_path / "given.json"
    config = TokenizerConfig(vocabulary_size=300, path=str(file))
    with pytest.raises(DataError, match=r"given\.json does not exist: correct tokenizer\.path"):
        build_tokenizer(config, corpus, tmp_path / "tokenizer", workers=1)
    unfit().save(str(file))
    with pytest.raises(DataError, match=r"has no piece <\|endoftext\|> .*of its own, of which it marks none"):
        build_tokenizer(config, corpus, tmp_path / "tokenizer", workers=1)
    marked = unfit()
    marked.add_special_tokens([AddedToken("</s>", special=True)])
    marked.save(str(file))
    with pytest.raises(DataError, match=r"set tokenizer\.end_of_text to one of its own, of which it marks </s>"):
        build_tokenizer(config, corpus, tmp_path / "tokenizer", workers=1)
    unfit(**{END_OF_TEXT: 2}).save(str(file))
    with pytest.raises(DataError, match="does not give every text back exactly: take a byte-level tokenizer"):
        build_tokenizer(config, corpus, tmp_path / "tokenizer", workers=1)
    file.write_bytes((folders["bpe", "words"] / "tokenizer.json").read_bytes())
    with pytest.raises(DataError, match=r"has 600 pieces: set tokenizer\.vocabulary_size to 600, not 300"):
        build_tokenizer(config, corpus, tmp_path / "tokenizer", workers=1)
    definition = json.loads(file.read_bytes())
    file.write_text(json.dumps(definition | {"model": definition["model"] | {"dropout": 0.1}}), "utf-8")
    with pytest.raises(DataError, match=r"draws its ids by lot \(dropout 0\.1\)"):
        build_tokenizer(config, corpus, tmp_path / "tokenizer", workers=1)
    greedy = Tokenizer.from_str(json.dumps(definition))
    greedy.add_tokens([AddedToken("percent", lstrip=True, normalized=False)])
    greedy.save(str(file))
    with pytest.raises(DataError, match=r"around its added piece 'percent' \(lstrip, rstrip\)"):
        build_tokenizer(config, corpus, tmp_path / "tokenizer", workers=1)
