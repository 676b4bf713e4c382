"""The tokenizer of an export: the files that describe it to transformers, and whether AutoTokenizer obeys them."""

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import Tokenizer

from model.config import ModelConfig
from model.huggingface_config import hugging_face_config

DESCRIPTION, MARKS, CHAT = "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"
"""What describes a tokenizer beside tokenizer.json."""

KEEPS_THE_FILE = "PreTrainedTokenizerFast"
"""The class that takes tokenizer.json as it is: other classes, and no class, have transformers rebuild its rules."""

OWN_RULES = "qwen2"
"""The model_type for which transformers 5 rebuilds the rules in spite of KEEPS_THE_FILE."""

PROBES = (
    "Net sales of the year 2024 rose to 1,234,567.89 (+3.5 %) on 2021-12-31; EUR-USD 1.0842",
    "They don't FALL, WE'LL see, o\u2019clock it\u2019S",
    "cafe\u0301 Zu\u0308rich, caf\u00e9 Z\u00fcrich, \uff26\uff55\uff4c\uff4c \ufb01nance \u2460 \u00b2",
    "  two spaces\n\n\tand\u00a0more\u3000\u200b\u200d\u00ad  \r\n ",
    "\u65e5\u672c\u9280\u884c \u0411\u0430\u043d\u043a \u0628\u0646\u0643 \u092c\u0948\u0902\u0915 \u0e18\u0e19"
    "\u0e32\u0e04\u0e32\u0e23 \uc740\ud589",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \x00\x1f\x7f\ufffd <s> </s> [UNK] ##ing \u2581x",
    " x",
    "x",
)
"""Texts that tokenizers treat differently: figures, contractions, accents, widths, spaces, scripts, controls."""

PIECES_IN_A_TEXT = 512

NOT_OF_AN_EXPORT = ("auto_map", "add_prefix_space")
"""Of a description: code that is not in the export, and a space in front of texts that training never had."""

OF_THE_END = ("bos_token", "eos_token", "pad_token", "unk_token")
"""What the end of text stands for; no text needs unk_token, as all bytes have pieces, but CTranslate2 does."""


def end_of_text_id(file: Path, end_of_text: str, config: ModelConfig) -> int:
    """The id of the piece that ends a document.

    Raises:
        ValueError: the tokenizer is not one of this model: it has no such piece, or more pieces than rows.
    """
    tokenizer = Tokenizer.from_file(str(file))
    token: int | None = tokenizer.token_to_id(end_of_text)
    if token is None:
        raise ValueError(f"{file} has no piece {end_of_text!r}: it is not the tokenizer of this model")
    pieces = tokenizer.get_vocab_size(with_added_tokens=True)
    if pieces > config.vocabulary_size:
        raise ValueError(f"{file} has {pieces:,} pieces, the model only {config.vocabulary_size:,}")
    return token


def write_tokenizer(file: Path, folder: Path, end_of_text: str, sequence_length: int) -> bool:
    """Copy a tokenizer.json to `folder`, with the files that describe it to transformers, and try them.

    The config.json of the model must be there, as transformers reads a tokenizer by it.

    A description that lies beside it is kept, but for what decides whether the export works: the class, so that the
    file is obeyed; the model's length; the inputs that these models take; begin and end, which are the model's; and no
    mark is left empty. Nor is what the file itself would put around every text, as no text was trained on so.

    Returns:
        Whether AutoTokenizer was compared with the file: False where transformers is not installed.

    Raises:
        ValueError: what lies beside it is no description, or AutoTokenizer gives other ids.
    """
    for name in (file.name, MARKS, CHAT):
        if file.with_name(name).exists():
            shutil.copyfile(file.with_name(name), folder / name)
    _add_no_pieces(folder / file.name)
    beside = file.with_name(DESCRIPTION)
    own = json.loads(beside.read_bytes()) if beside.exists() else None
    if not isinstance(own, dict | None):
        raise ValueError(f"{beside} does not describe a tokenizer: it is no object of JSON")
    special = _special_pieces(file, end_of_text)
    described = {key: value for key, value in (own or special).items() if key not in NOT_OF_AN_EXPORT}
    ends = {"bos_token": end_of_text, "eos_token": end_of_text}  # whatever ends texts elsewhere: as in config.json
    settings = {
        "clean_up_tokenization_spaces": False,
        **described,
        **{mark: described.get(mark) or end_of_text for mark in OF_THE_END},
        **ends,
        "tokenizer_class": KEEPS_THE_FILE,
        "model_max_length": sequence_length,
        # Before version 5 transformers adds token_type_ids, which these models refuse.
        "model_input_names": ["input_ids", "attention_mask"],
    }
    marks = folder / MARKS
    written = {DESCRIPTION: settings}
    if not own or marks.exists():
        written[MARKS] = (json.loads(marks.read_bytes()) if own else special) | ends
    for name, content in written.items():
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return _has_the_ids(folder)


def try_tokenizer(file: Path, config: ModelConfig, end_of_text: str) -> bool:
    """Whether the tokenizer could leave with this model, asked before it is trained: as `write_tokenizer` says it."""
    with TemporaryDirectory() as name:
        (Path(name) / "config.json").write_text(json.dumps(hugging_face_config(config, "float32")), "utf-8")
        return write_tokenizer(file, Path(name), end_of_text, config.sequence_length)


def _add_no_pieces(file: Path) -> None:
    """Take out of a tokenizer.json what training never had.

    These are pieces around every text, such as a begin, and its cutting or filling up to a length.
    """
    tokenizer, content = Tokenizer.from_file(str(file)), json.loads(file.read_bytes())
    changes: dict[str, Any] = {name: None for name in ("truncation", "padding") if content.get(name)}
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if len(tokenizer.encode("")) > len(tokenizer.encode("", add_special_tokens=False)):
        changes["post_processor"] = None
    if changes:
        file.write_text(json.dumps(content | changes, ensure_ascii=False), encoding="utf-8")


def _special_pieces(file: Path, end_of_text: str) -> dict[str, Any]:
    tokenizer = Tokenizer.from_file(str(file))
    added = [piece.content for _, piece in sorted(tokenizer.get_added_tokens_decoder().items()) if piece.special]
    others = [piece for piece in added if piece != end_of_text]
    return dict.fromkeys(OF_THE_END, end_of_text) | ({"additional_special_tokens": others} if others else {})


def _has_the_ids(folder: Path) -> bool:
    """Compare AutoTokenizer with tokenizer.json on PROBES and all pieces; ValueError where they differ."""
    try:
        import transformers  # of those who export and not of those who train, so no requirement
    except ImportError:
        return False
    file = Tokenizer.from_file(str(folder / "tokenizer.json"))
    loaded = transformers.AutoTokenizer.from_pretrained(
        folder,
        local_files_only=True,
        model_max_length=10**9,  # or it warns of long texts
    )
    for text in itertools.chain(PROBES, _texts_of_pieces(file)):
        expected, found = file.encode(text, add_special_tokens=False).ids, loaded.encode(text)
        if found != expected:
            remedy = f"remove from its {DESCRIPTION} what changes how it reads"
            if json.loads((folder / "config.json").read_bytes()).get("model_type") == OWN_RULES:
                remedy = f"of a {OWN_RULES} it takes the rules of Qwen2's tokenizer, whatever the file says: take these"
            raise ValueError(
                f"AutoTokenizer of transformers {transformers.__version__} gives {len(found)} ids for {text[:40]!a},"
                f" and tokenizer.json, with which the model is trained, {len(expected)} others: {remedy}"
            )
    return True


def _texts_of_pieces(tokenizer: Tokenizer) -> Iterator[str]:
    """Every piece of the vocabulary stands in one of the texts."""
    ids = sorted(tokenizer.get_vocab(with_added_tokens=False).values())
    for first in range(0, len(ids), PIECES_IN_A_TEXT):
        yield "".join(tokenizer.decode([token]) for token in ids[first : first + PIECES_IN_A_TEXT])
