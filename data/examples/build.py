"""Examples to shards: read, checked, rendered, encoded, split; with a report, and a quarantine of what is refused."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data.corpus.split import STRADDLES, split
from data.errors import DataError
from data.examples.chat import Chat, Encoded, encode, load_chat, reads_alike
from data.examples.config import ExamplesConfig
from data.examples.records import Example, Turn, read_examples
from data.files import (
    MANIFEST,
    atomic_write,
    begin_stage,
    file_digest,
    finish_stage,
    is_finished,
    new_digest,
    remove,
    stage_digest,
    write_atomically,
)
from data.interval import dates_as_json
from data.lock import only_writer
from data.progress import say
from data.readers.rows import MalformedError
from data.shards.encode import BYTES_PER_SHARD
from data.shards.format import EncodedDocument, Manifest, SourceShards, dtype_name, write_manifest, write_source
from data.shards.reader import DTYPES
from data.sources.documents import BadRecord, input_parts
from data.tokenizer.build import TOKENIZER

FORMAT = 2
EXAMPLES, QUARANTINE, REPORT = "examples.jsonl", "quarantine.jsonl", "report.json"
TOGETHER = 1_000  # that are encoded at once
CHECKED = 8  # of each source, encoded twice and compared
OFFENDERS = 5


class Limits(NamedTuple):
    """What decides whether an example is taken, and for what."""

    sequence_length: int
    cutoff: date | None
    held_out_share: float
    maximum_bad_fraction: float
    seed: int


@dataclass
class Counts:
    """What became of a source's records."""

    read: int = 0
    malformed: int = 0
    train: int = 0
    past: int = 0
    tokens: int = 0
    counted_tokens: int = 0
    longest: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    offenders: list[str] = field(default_factory=list)


class _Kept(NamedTuple):
    example: Example
    encoded: Encoded
    split: str


def build_examples(sources: Sequence[ExamplesConfig], tokenizer: Path, folder: Path, limits: Limits) -> dict[str, Any]:
    """Write folder/examples (what is taken, a report, a quarantine) and folder/shards, unless they are there.

    The shards are those of documents, each of one example, with what counts in the loss: the responses and the marks
    that end them. Held out, as the split `past`, are whole sources or a share that is drawn by seed and by what is
    asked: examples that ask the same lie on one side. All examples are in memory once, as ids.

    Returns:
        The report: {"sources": {name: Counts}, "shown": one example with ⟦what counts⟧}.

    Raises:
        DataError: a source is missing or damaged, too many of its records are malformed, dates are missing, or nothing
            is left to train on.
    """
    target, shards = folder / "examples", folder / "shards"
    inputs = examples_inputs(sources, tokenizer, limits)
    if is_finished("examples", target, inputs) and (shards / MANIFEST).exists():
        return dict(json.loads((target / REPORT).read_bytes()))
    chat = load_chat(tokenizer)
    with only_writer(target):
        begin_stage(target, [EXAMPLES, QUARANTINE, REPORT])
        remove(shards)
        counts = {one.name: Counts() for one in sources}
        kept = _read(sources, chat, limits, counts, target)
        report = {"sources": {name: dict(vars(one)) for name, one in counts.items()}, "shown": _shown(chat, kept)}
        write_atomically(target / REPORT, json.dumps(report, indent=1, ensure_ascii=False))
        finish_stage(target, inputs, [target / name for name in (EXAMPLES, QUARANTINE, REPORT)])
        _write_shards(kept, chat, file_digest(tokenizer / TOKENIZER), stage_digest(target, "finetune"), shards, limits)
    for name, one in counts.items():
        refused = "".join(f"; {number:,} {reason}" for reason, number in one.refused.most_common())
        say(
            f"examples: {name}: {one.train:,} to train on, {one.past:,} held out, {one.tokens:,} tokens of which "
            f"{one.counted_tokens:,} count{refused}"
        )
    return dict(json.loads((target / REPORT).read_bytes()))


def examples_inputs(sources: Sequence[ExamplesConfig], tokenizer: Path, limits: Limits) -> dict[str, Any]:
    """All that decides what `build_examples` writes. Raises DataError: a source or the tokenizer is missing."""
    return {
        "format": FORMAT,
        "tokenizer": stage_digest(tokenizer, "finetune"),
        **{key: str(value) for key, value in limits._asdict().items()},
        **{
            f"examples.{one.name}": one.model_dump(mode="json", exclude={"weight", "maximum_epochs"}) for one in sources
        },
        **{f"examples.{one.name}.files": [[part.name, *part.stamp] for part in input_parts(one)] for one in sources},
    }


def _read(
    sources: Sequence[ExamplesConfig], chat: Chat, limits: Limits, counts: dict[str, Counts], target: Path
) -> list[_Kept]:
    """All examples that are taken. Those of held-out sources come first, that no other source trains on them."""
    kept: list[_Kept] = []
    taken = _Taken(limits)
    with atomic_write(target / EXAMPLES) as examples, atomic_write(target / QUARANTINE) as quarantine:
        for source in sorted(sources, key=lambda one: not one.held_out):
            own = counts[source.name]
            for found in _decided(source, chat, taken, own):
                if isinstance(found, BadRecord):
                    own.refused[found.reason.partition(":")[0]] += 1
                    line: dict[str, Any] = {"source": source.name, **asdict(found)}
                else:
                    kept.append(found)
                    _add(own, found)
                    line = _described(found)
                to = quarantine if isinstance(found, BadRecord) else examples
                to.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
    for source in sources:
        _check(source, counts[source.name], limits, target / QUARANTINE)
    if not any(one.split == "train" for one in kept):
        raise DataError(f"no example is left to train on: {target / QUARANTINE} says of each record why")
    return kept


def _decided(source: ExamplesConfig, chat: Chat, taken: "_Taken", counts: Counts) -> Iterator[_Kept | BadRecord]:
    records = read_examples(source)
    unread = CHECKED
    while together := list(itertools.islice(records, TOGETHER)):
        examples = [one for one in together if isinstance(one, Example)]
        encoded = iter(encode(chat, [one.turns for one in examples]))
        for record in together:
            counts.read += 1
            if isinstance(record, BadRecord):
                counts.malformed += 1
                counts.offenders += [f"{record.file}:{record.line}: {record.reason}"][
                    : OFFENDERS - len(counts.offenders)
                ]
                yield record
                continue
            ids = next(encoded)
            if unread and not isinstance(ids, MalformedError):
                unread -= 1
                if not reads_alike(chat, record.turns):
                    raise DataError(
                        f"{record.file}:{record.line}: the tokenizer reads the text beside its marks otherwise than by "
                        "itself (lstrip, rstrip or a space in front): take the tokenizer from where it is byte-level"
                    )
            try:
                yield taken.decide(source, record, ids)
            except MalformedError as error:
                yield BadRecord(record.file, record.line, str(error))


class _Taken:
    """What has been met: the same conversation is taken once, and what is asked in held-out ones is not trained on."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._conversations: dict[bytes, str] = {}
        self._held_out: set[bytes] = set()

    def decide(self, source: ExamplesConfig, example: Example, encoded: Encoded | MalformedError) -> _Kept:
        """Raises MalformedError: the example is refused; DataError: it has no date, where that stops."""
        limits = self._limits
        if example.date is None and limits.cutoff and source.undated != "train":
            if source.undated == "refuse":
                raise DataError(
                    f"source '{source.name}': {example.file}:{example.line} has no date, but data.cutoff is set: name "
                    "the field in date_field, or set undated: train or quarantine"
                )
            raise MalformedError("no date")
        asked = _digest(
            next(example.turns[:place] for place, turn in enumerate(example.turns) if turn.role == "assistant")
        )
        side = split(example.date, asked, limits.cutoff, limits.held_out_share, limits.seed)
        if side == "future":
            raise MalformedError(f"after the cutoff: {example.date} is of data.cutoff {limits.cutoff} or later")
        if side == STRADDLES:
            raise MalformedError(f"{STRADDLES}: {example.date} may be before or after data.cutoff {limits.cutoff}")
        if isinstance(encoded, MalformedError):
            raise encoded
        if len(encoded.ids) + 1 > limits.sequence_length:
            raise MalformedError(
                f"too long: {len(encoded.ids) + 1:,} tokens, model.sequence_length is {limits.sequence_length:,}"
            )
        first = self._conversations.setdefault(
            _digest(example.turns), f"{example.source}, {example.file}:{example.line}"
        )
        if first != f"{example.source}, {example.file}:{example.line}":
            raise MalformedError(f"repeated: the same stands in {first}")
        if source.held_out:
            self._held_out.add(asked)
            return _Kept(example, encoded, "past")
        if asked in self._held_out:
            raise MalformedError("held out: what is asked stands in a held-out source")
        return _Kept(example, encoded, side)


def _digest(turns: Sequence[Turn]) -> bytes:
    return new_digest(json.dumps(turns).encode()).digest()


def _add(counts: Counts, kept: _Kept) -> None:
    counts.train += kept.split == "train"
    counts.past += kept.split == "past"
    counts.tokens += len(kept.encoded.ids) + 1
    counts.counted_tokens += int(kept.encoded.counted.sum())
    counts.longest = max(counts.longest, len(kept.encoded.ids) + 1)


def _described(kept: _Kept) -> dict[str, Any]:
    example = kept.example
    return {
        "id": example.id,
        "source": example.source,
        "split": kept.split,
        **dates_as_json(example.date),
        "file": example.file,
        "line": example.line,
        "tokens": len(kept.encoded.ids),
        "messages": [turn._asdict() for turn in example.turns],
    }


def _check(source: ExamplesConfig, counts: Counts, limits: Limits, quarantine: Path) -> None:
    if counts.malformed > limits.maximum_bad_fraction * counts.read:
        raise DataError(
            f"source '{source.name}': {counts.malformed:,} of {counts.read:,} records are malformed, above "
            f"data.maximum_bad_fraction {limits.maximum_bad_fraction:g}; the first are {'; '.join(counts.offenders)}; "
            f"all of them are in {quarantine}"
        )
    if limits.held_out_share and not source.held_out and counts.train and not counts.past:
        say(
            f"examples: {source.name}: nothing is held out, finetune.held_out_share {limits.held_out_share:g} drew none"
        )


def _shown(chat: Chat, kept: Sequence[_Kept]) -> str:
    """The first example as the model reads it, with ⟦what counts⟧."""
    ids, counted, _ = kept[0].encoded
    runs = itertools.groupby(zip(ids.tolist(), counted.tolist(), strict=True), key=lambda one: one[1])
    texts = [
        (chat.tokenizer.decode([number for number, _ in run], skip_special_tokens=False), wanted)
        for wanted, run in runs
    ]
    return "".join(f"⟦{text}⟧" if wanted else text for text, wanted in texts)


def _write_shards(
    kept: Sequence[_Kept], chat: Chat, tokenizer_digest: str, examples_digest: str, folder: Path, limits: Limits
) -> None:
    pieces = max(chat.tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    dtype, end = dtype_name(pieces), chat.marks[chat.end_of_text]
    splits: dict[str, dict[str, SourceShards]] = {"train": {}, "past": {}, "future": {}}
    for side, name in dict.fromkeys((one.split, one.example.source) for one in kept):
        documents = (
            EncodedDocument(
                one.example.id,
                one.example.date,
                one.encoded.ids.astype(DTYPES[dtype]),
                one.encoded.response_bytes,
                end,
                one.encoded.counted,
            )
            for one in kept
            if (one.split, one.example.source) == (side, name)
        )
        splits[side][name] = write_source(
            folder, side, name, documents, dtype, BYTES_PER_SHARD // np.dtype(np.uint32).itemsize
        )
    write_manifest(
        folder, Manifest(dtype, pieces, tokenizer_digest, examples_digest, limits.seed, BYTES_PER_SHARD, splits, end)
    )
