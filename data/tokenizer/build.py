"""Corpus to tokenizer: a byte-level BPE or Unigram learnt from the training split, or a given one, and a report."""

import itertools
import json
import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from data.config import TokenizerConfig
from data.corpus.files import corpus_files
from data.errors import DataError
from data.files import (
    atomic_write,
    begin_stage,
    changed_files,
    file_digest,
    finish_stage,
    finished_inputs,
    is_finished,
    read_object,
    stage_digest,
    value_digest,
    write_atomically,
)
from data.lock import only_writer
from data.progress import say
from data.source_config import END_OF_TEXT
from data.tokenizer.report import Made, find_words, measure, piece_samples
from data.tokenizer.text import bytes_by_source, measured_texts, texts_from_all_over

FORMAT = 3
TOKENIZER = "tokenizer.json"
REPORT = "report.json"
DESCRIPTIONS = ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")  # of a given tokenizer
WORK = "work"  # what training keeps until it is done
Texts = Mapping[str, Sequence[str]]
NOT_OF_THE_IDS = {"compare", "sweep", "path"}  # of the settings; a given tokenizer is known by its digest
OF_A_GIVEN_ONE = {"vocabulary_size", "end_of_text", "extend"}
OF_AN_EXTENDED_ONE = OF_A_GIVEN_ONE | {"training_bytes", "max_piece_length"}
AS_GIVEN = "before the extension"  # among what is compared

REPORT_BYTES = 1_000_000  # of each source
WORTH_WORKERS = 10_000_000  # bytes of text from which processes save more time than their start takes
# A tokenizer that gives this back gives any text back: controls, several scripts, a combining mark, spaces, digits.
PROBE = "Zu\u0308rich, Z\u00fcrich  \u65e5\u672c \U0001f600\t1,024\n\n\x00 x "


def build_tokenizer(config: TokenizerConfig, corpus: Path, folder: Path, workers: int | None = None) -> dict[str, Any]:
    """Make folder/tokenizer.json and report.json, or recognise that they are there already.

    A vocabulary that is learnt holds END_OF_TEXT, whose id is 0, and all 256 bytes, so that any text is encoded and
    given back. A given tokenizer stays as it is, with the files that describe it to transformers; or its pieces and
    merges do, and further ones follow them.

    Args:
        workers: processes that count and learn, which changes nothing in the result; None for one for each CPU.

    Returns:
        The report, as data/tokenizer/report.py describes it.

    Raises:
        DataError: the corpus is not finished, too small for the vocabulary, or a given tokenizer does not fit; or
            another process writes to `folder`.
    """
    given = _given_file(config.path, "path") if config.path else None
    compared = {name: _given_file(path, f"compare.{name}") for name, path in sorted(config.compare.items())}
    later = {"end_of_text": END_OF_TEXT, "extend": None}  # tokenizers older than these keys stay good
    unset = {key for key, value in later.items() if getattr(config, key) == value}
    inputs = {"format": FORMAT, "corpus": stage_digest(corpus), **config.model_dump(mode="json", exclude=unset)}
    inputs["compared"] = {name: file_digest(file) for name, file in compared.items()}
    if given:
        inputs["path_digest"] = file_digest(given)
    if changed := changed_files(folder):
        say(f"tokenizer: {', '.join(changed)} in {folder} is not as it was written, redoing it")
    elif is_finished("tokenizer", folder, inputs):
        report: dict[str, Any] = json.loads((folder / REPORT).read_bytes())
        return report
    with only_writer(folder):
        begin_stage(folder, [TOKENIZER, REPORT, *DESCRIPTIONS])
        split, texts = measured_texts(corpus, REPORT_BYTES)
        made = _make(config, given, corpus, texts, folder, value_digest(inputs), workers)
        tokenizer = load_tokenizer(folder)
        if given and config.extend:
            compared = {AS_GIVEN: given, **compared}
        report = _report(config, made, tokenizer, compared, texts) | {"split": split}
        if given and made.extension:
            report["extension"] = {**made.extension, "text": _saved(config, given, folder, corpus, {split: texts})}
        write_atomically(folder / REPORT, json.dumps(report, indent=1, ensure_ascii=False))
        shutil.rmtree(folder / WORK, ignore_errors=True)
        described = [folder / name for name in DESCRIPTIONS if (folder / name).exists()]
        finish_stage(folder, inputs, [folder / TOKENIZER, folder / REPORT, *described])
    return report


def _make(
    config: TokenizerConfig,
    given: Path | None,
    corpus: Path,
    texts: Texts,
    folder: Path,
    digest: str,
    workers: int | None,
) -> Made:
    """Write tokenizer.json, and what describes a given one, into `folder`."""
    if given and config.extend:
        from data.tokenizer.extend import check_extendable  # compiled code, as where it is trained

        check_extendable(given)
    taken = _take(given, config) if given else None
    if given and taken and not config.extend:
        made = Made(taken)
        with atomic_write(folder / TOKENIZER) as file:
            file.write(given.read_bytes())  # byte for byte: a model that has it is known by its digest
    else:
        made = _train(config, given, corpus, texts, folder / WORK / digest, workers)
        write_atomically(folder / TOKENIZER, made.tokenizer.to_str(pretty=True))
    for described in [given.with_name(name) for name in DESCRIPTIONS] if given else ():
        if described.exists():
            write_atomically(folder / described.name, described.read_text("utf-8"))
    return made


def check_made_with(config: TokenizerConfig, folder: Path) -> None:
    """Raise DataError where a finished tokenizer was made with settings that give other ids; each is named."""
    made = {"end_of_text": END_OF_TEXT, "path_digest": None, "extend": None} | finished_inputs(folder)
    of_the_given = OF_AN_EXTENDED_ONE if config.extend else OF_A_GIVEN_ONE
    wanted = config.model_dump(mode="json", include=of_the_given if config.path else None, exclude=NOT_OF_THE_IDS)
    if not config.path:
        wanted["path_digest"] = None
    elif config.path != made.get("path") or Path(config.path).expanduser().exists():
        wanted["path_digest"] = file_digest(_given_file(config.path, "path"))
    changes = [
        f"tokenizer.{key} {json.dumps(made[key])}, which is {json.dumps(value)} now"
        for key, value in wanted.items()
        if key in made and made[key] != value  # a setting that came later has its default there
    ]
    if changes:
        raise DataError(
            f"{folder} was made with {'; '.join(changes)}: run `domainlm tokenize CONFIG`, or undo the change"
        )


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load folder/tokenizer.json to encode text with: the characters of END_OF_TEXT are only characters.

    Nothing is added to a text, whatever the file says for other uses: documents get their end where they are joined.

    Raises:
        DataError: there is no tokenizer, it is not as it was written, or it cannot be read.
    """
    if (folder / TOKENIZER).exists() and changed_files(folder, [TOKENIZER]):
        raise DataError(f"{folder / TOKENIZER} is not as it was written: run `domainlm tokenize CONFIG` again")
    return _load(folder / TOKENIZER)


def end_of_text_id(folder: Path) -> int:
    """The id that stands between documents encoded with the tokenizer of `folder`: 0 unless it was given."""
    try:
        return int(read_object(folder / REPORT).get("end_of_text_id", 0))
    except FileNotFoundError:
        return 0


def end_of_turn_id(folder: Path) -> int | None:
    """The id that ends a response, of the tokenizer of a fine-tuned model; None of any other."""
    report = folder / REPORT
    return json.loads(report.read_bytes()).get("end_of_turn_id") if report.exists() else None


def _load(file: Path) -> Tokenizer:
    if not file.is_file():
        raise DataError(f"{file} does not exist: run `domainlm tokenize CONFIG` first")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exceptions
        raise DataError(f"{file} is no tokenizer.json of Hugging Face tokenizers: {error}") from error
    _check_ids(file, tokenizer)
    # A document that quotes the mark must not end there.
    tokenizer.encode_special_tokens = True
    tokenizer.post_processor = None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _check_ids(file: Path, tokenizer: Tokenizer) -> None:
    """Two pieces of one id would be encoded as one and given back as the other."""
    named: dict[int, str] = {}
    for piece, number in tokenizer.get_vocab(with_added_tokens=True).items():
        if number in named:
            pieces = " and ".join(repr(name) for name in sorted((named[number], piece)))
            raise DataError(f"{file} gives the id {number} to two pieces, {pieces}: take it from where it is whole")
        named[number] = piece


def _given_file(path: str, setting: str) -> Path:
    given = Path(path).expanduser()
    file = given / TOKENIZER if given.is_dir() else given
    if not file.is_file():
        raise DataError(f"{file} does not exist: correct tokenizer.{setting}, or leave it out")
    return file


def _take(file: Path, config: TokenizerConfig) -> Tokenizer:
    """A given tokenizer, if it can be used."""
    tokenizer = _load(file)
    if tokenizer.token_to_id(config.end_of_text) is None:
        marks = [piece.content for piece in tokenizer.get_added_tokens_decoder().values() if piece.special]
        raise DataError(
            f"{file} has no piece {config.end_of_text} to stand between documents: set tokenizer.end_of_text to one of "
            f"its own, of which it marks {', '.join(marks[:8]) or 'none'}"
        )
    given_back = tokenizer.decode(tokenizer.encode(PROBE).ids)
    if given_back == unicodedata.normalize("NFC", PROBE) != PROBE:
        say(f"tokenizer: {file} composes characters (NFC); bits per byte still count the bytes of the text as it was")
    elif given_back != PROBE:
        raise DataError(f"{file} does not give every text back exactly: take a byte-level tokenizer, or train one")
    _check_added(file, tokenizer)
    size, more = tokenizer.get_vocab_size(), config.extend or 0
    if size + more != config.vocabulary_size:
        extended = f", and tokenizer.extend adds {more:,}" if more else ""
        model = ", and model.vocabulary_size to that or more" if more else ""
        raise DataError(
            f"{file} has {size:,} pieces{extended}: set tokenizer.vocabulary_size to {size + more}, not "
            f"{config.vocabulary_size}{model}"
        )
    return tokenizer


def _check_added(file: Path, tokenizer: Tokenizer) -> None:
    """Raise DataError where ids are drawn by lot, or an added piece takes text away around it."""
    if dropout := json.loads(file.read_bytes())["model"].get("dropout"):
        raise DataError(
            f"{file} draws its ids by lot (dropout {dropout}), and a run is to be the same again: set it to null"
        )
    for token in tokenizer.get_added_tokens_decoder().values():
        text = f"a {token.content}  {token.content}\n{token.content} b"
        if (
            unicodedata.normalize("NFC", text) == text
            and tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) != text
        ):
            raise DataError(
                f"{file} does not give text back around its added piece {token.content!r} (lstrip, rstrip): set both "
                "to false there, or take another tokenizer"
            )


def _train(
    config: TokenizerConfig, given: Path | None, corpus: Path, texts: Texts, work: Path, workers: int | None
) -> Made:
    # Compiled code takes half a second to import, which those who only load a tokenizer need not wait for.
    from data.tokenizer.training import extend_tokenizer, train_tokenizer

    sizes, files = bytes_by_source(corpus, "train"), corpus_files(corpus, "train")
    total = sum(sizes.values())
    fraction = min(1.0, (config.training_bytes or total) / total) if total else 1.0
    wanted = f"{config.extend:,} further" if given else f"{config.vocabulary_size:,}"
    kind = "bpe" if given else config.kind
    say(f"tokenizer: learning {wanted} pieces ({kind}) from {total * fraction / 1e6:,.1f} MB")
    if total * fraction < WORTH_WORKERS:
        workers = 1
    learnt_from = {source: files[source] for source in files if source in sizes}
    if given:
        return extend_tokenizer(config, given, learnt_from, fraction, work, workers)
    return train_tokenizer(config, learnt_from, fraction, itertools.chain(*texts.values()), work, workers)


def _saved(
    config: TokenizerConfig, given: Path, folder: Path, corpus: Path, measured: Mapping[str, Texts]
) -> dict[str, dict[str, int]]:
    """Bytes, and tokens before and after the extension, of the measured text and of training text.

    Raises:
        DataError: a text is encoded otherwise than by merges behind the given ones.
    """
    from data.tokenizer.extend import check_extension, spelled_by

    assert config.extend is not None
    before, after = _load(given), load_tokenizer(folder)
    marks = [token.content for token in before.get_added_tokens_decoder().values()]
    spelled = spelled_by(folder / TOKENIZER, config.extend)
    saved = {}
    try:
        check_extension(before, after, spelled, [PROBE, *(f"a {mark}{mark} b" for mark in marks), *marks])
        for split, by_source in {"train": texts_from_all_over(corpus, "train", REPORT_BYTES), **measured}.items():
            texts = list(itertools.chain(*by_source.values()))
            tokens = check_extension(before, after, spelled, texts)
            size = sum(len(text.encode()) for text in texts)
            saved[split] = {"bytes": size, "before": tokens[0], "after": tokens[1]}
    except DataError:
        (folder / TOKENIZER).unlink()  # nobody is to encode with it
        raise
    return saved


def _report(
    config: TokenizerConfig, made: Made, tokenizer: Tokenizer, compared: dict[str, Path], texts: Texts
) -> dict[str, Any]:
    documents = find_words(texts)
    measured = measure(tokenizer, documents)
    return {
        "kind": "extended" if config.extend else "given" if config.path else config.kind,
        "end_of_text_id": tokenizer.token_to_id(config.end_of_text),
        "pretokenization": None if config.path else config.pretokenization,
        "digits": None if config.path else config.digits,
        "training": made.training._asdict() if made.training else None,
        **measured.figures,
        "compared": {name: measure(_load(file), documents).figures for name, file in compared.items()},
        "samples": piece_samples(tokenizer, measured.used),
        "sweep": list(made.sweep),
        "extension": None,
    }
