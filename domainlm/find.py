"""From a text to the training documents that have its passages, and to the steps that saw these documents."""

import functools
import unicodedata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from data.errors import DataError
from data.interval import Interval, dates_as_json, said_dates
from data.shards.documents import read_documents
from data.shards.packing import SPLIT
from data.shards.passages import Found, Passage, find_passages, gaps
from data.shards.place_index import LEAST, open_index
from data.stream.stream import Piece
from data.tokenizer.build import load_tokenizer
from domainlm.trace import open_own, steps_of
from train.config import RunConfig
from train.schedule import consumed_samples

NAMED_DOCUMENTS = 10  # of a passage
SHOWN_PASSAGES = 20  # to people
SHOWN_CHARACTERS = 300  # of a passage


class _Document(NamedTuple):
    file: int  # its place among the index's
    row: int  # in that file's table of documents
    times: int  # how often it has the passage


class Finder:
    """The training documents of a run, searched for as many texts as there are."""

    def __init__(self, config: RunConfig) -> None:
        """Opens the index, and makes it first where there is none.

        Raises:
            DataError: there are no shards, they cannot be used, or the index has no room.
            CheckpointError: the run was trained on other data than are there now.
        """
        self._config, self._stream = config, open_own(config)
        folder = config.data_folder / "index"
        self._index = open_index(
            config.shards, folder, config.tokenizer_folder, self._stream.local, config.data.workers
        )
        self._tokenizer = load_tokenizer(config.tokenizer_folder)
        self._table = functools.lru_cache(16)(self._read_table)
        self._steps = functools.lru_cache(4096)(self._find_steps)

    def find(self, text: str) -> dict[str, Any]:
        """The longest passages that a text has in common with training documents, with these and their steps.

        The text is compared in NFC, as a corpus is.

        Returns:
            `text` (in NFC), its `tokens`, and `least_bytes` of a passage; `matches`, by their place in the text:
            `text`, `first_character` and `characters`, `tokens`, `documents_total`, whether these
            `documents_are_all` (they may be more where the passage is too common), and up to NAMED_DOCUMENTS
            `documents`, the oldest first, undated ones last (`id`, `source`, `first_date`, `last_date`, `date_kind`,
            `split`, `count` of the passage in it, `first_step`, `last_step` and `steps_seen`, of the document);
            `own`, stretches of the text that are in no match; and `unsearched`, stretches that are too common to be
            looked for (`Found`). Stretches have `text`, `first_character` and `characters`.

        Raises:
            DataError: the text is shorter than `least_bytes`, or not Unicode.
        """
        text = unicodedata.normalize("NFC", text)
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise DataError(f"--find: the text is not UTF-8 ({error.reason} at character {error.start})") from None
        if size < LEAST:
            raise DataError(f"--find: the text has {size} bytes: passages of {LEAST} or more are looked for")
        found = find_passages(self._index, text)
        spans = [(passage.begin, passage.end) for passage in found.passages]
        distinct: dict[str, Passage] = {}  # of what the text repeats, the first
        for passage in found.passages:
            distinct.setdefault(text[passage.begin : passage.end], passage)
        return {
            "text": text,
            "tokens": self._count_tokens(text),
            "least_bytes": LEAST,
            "matches": [self._match(text, found, passage) for passage in distinct.values()],
            "own": [_stretch(text, *span) for span in gaps([*spans, *found.unsearched], 0, len(text))],
            "unsearched": [_stretch(text, *span) for span in found.unsearched],
        }

    def _match(self, text: str, found: Found, passage: Passage) -> dict[str, Any]:
        stretch = _stretch(text, passage.begin, passage.end)
        documents = self._documents(passage)
        return stretch | {
            "tokens": self._count_tokens(stretch["text"]),
            "documents": [self._describe(document) for document in documents[:NAMED_DOCUMENTS]],
            "documents_total": len(documents),
            "documents_are_all": found.is_sure(text, passage),
        }

    def _count_tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(text).ids)

    def _documents(self, passage: Passage) -> list[_Document]:
        """All that have a passage, by their last day."""
        documents, dates = [], []
        for file in np.unique(passage.files).tolist():
            table = self._table(file)
            places = passage.tokens[passage.files == file]
            rows, counts = np.unique(
                np.searchsorted(table["first_token"].to_numpy(), places, side="right") - 1, return_counts=True
            )
            documents += [_Document(file, *pair) for pair in zip(rows.tolist(), counts.tolist(), strict=True)]
            dates += table["last_date"].take(pa.array(rows)).to_pylist()
        order = sorted(range(len(documents)), key=lambda place: (dates[place] is None, dates[place] or 0, place))
        return [documents[place] for place in order]

    def _describe(self, document: _Document) -> dict[str, Any]:
        row = self._table(document.file).slice(document.row, 1).to_pylist()[0]
        steps = self._steps(document.file, row["first_token"], row["tokens"])
        return {
            "id": row["id"],
            "source": row["source"],
            **dates_as_json(Interval.of_columns(row["first_date"], row["last_date"])),
            "date_kind": row["date_kind"],
            "split": SPLIT,
            "count": document.times,
            "first_step": steps[0] if steps else None,
            "last_step": steps[-1] if steps else None,
            "steps_seen": len(steps),
        }

    def _read_table(self, file: int) -> pa.Table:
        return read_documents(Path(self._stream.local(self._index.files[file].shard.documents_path)))

    def _find_steps(self, file: int, first_token: int, tokens: int) -> list[int]:
        shard, training = self._index.files[file], self._config.training
        piece = Piece(shard.source, shard.number, first_token, tokens)
        samples = self._stream.samples_with(piece, consumed_samples(training, training.steps))
        return steps_of(self._config, samples.tolist())


def _stretch(text: str, begin: int, end: int) -> dict[str, Any]:
    return {"text": text[begin:end], "first_character": begin, "characters": end - begin}


def describe(result: dict[str, Any]) -> str:
    """The passages and the model's own words in the order of the text, for people."""
    text, least = result["text"], result["least_bytes"]
    own = sum(stretch["characters"] for stretch in [*result["own"], *result["unsearched"]])
    lines = [
        f"{len(text) - own:,} of {len(text):,} characters stand in training documents, in passages of {least} bytes or "
        "more"
    ]
    longest = sorted(result["matches"], key=lambda match: match["characters"], reverse=True)
    stretches = [(match, _describe_match(match)) for match in longest[:SHOWN_PASSAGES]]
    stretches += [
        (stretch, f"the model's own, or shorter: {_quote(stretch)}")
        for stretch in result["own"]
        if not stretch["text"].isspace()
    ]
    stretches += [(stretch, f"too common to be looked for: {_quote(stretch)}") for stretch in result["unsearched"]]
    lines += [said for _, said in sorted(stretches, key=lambda pair: pair[0]["first_character"])]
    if more := longest[SHOWN_PASSAGES:]:
        lines.append(f"{len(more):,} passages of {more[0]['characters']} characters or fewer are left out: --json")
    return "\n\n".join(lines)


def _describe_match(match: dict[str, Any]) -> str:
    total = match["documents_total"]
    documents = "1 document" if total == 1 else f"{total:,} documents"
    most = "" if match["documents_are_all"] else "at least "
    lines = [f"{_quote(match)}  {match['characters']:,} characters, {match['tokens']:,} tokens, in {most}{documents}"]
    for document in match["documents"]:
        times = f"{document['count']} times, " if document["count"] > 1 else ""
        steps = _describe_steps(document["steps_seen"], document["first_step"], document["last_step"])
        lines.append(f"    {document['source']}  {document['id']}  {said_dates(document)}  {times}seen {steps}")
    if total > len(match["documents"]):
        lines.append(f"    and {total - len(match['documents']):,} more")
    return "\n".join(lines)


def _describe_steps(count: int, first: int | None, last: int | None) -> str:
    if count <= 1:
        return f"in step {first:,}" if count else "in no step"
    return f"in {count:,} steps, {first:,} to {last:,}"


def _quote(stretch: dict[str, Any]) -> str:
    text = " ".join(stretch["text"].split())
    half = SHOWN_CHARACTERS // 2
    return f"“{text if len(text) <= SHOWN_CHARACTERS else f'{text[:half]} … {text[-half:]}'}”"
