"""Corpus to index: the training split's documents in pieces, each cut and counted on its own, and their words inverted.

Held-out text and canaries are never read. Pieces are named by what they are made from: those of text that is as it was
are kept when the corpus has changed, and when a build is interrupted.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.config import CANARIES, DataConfig
from data.corpus.deduplicate import document_key
from data.corpus.files import RowGroup, corpus_files, read_row_groups, row_groups
from data.corpus.inputs import check_made_with
from data.corpus.tombstones import TOMBSTONES, read_tombstones
from data.date_columns import DATE_COLUMNS
from data.errors import DataError
from data.files import (
    MANIFEST,
    atomic_write,
    begin_stage,
    file_digest,
    finish_stage,
    is_finished,
    new_digest,
    stage_digest,
    value_digest,
    write_atomically,
)
from data.lock import only_writer
from data.parallel import in_parallel
from data.progress import say
from data.retrieval.bm25 import invert
from data.retrieval.passages import cut_passages
from data.retrieval.vectors import Embedder, embed_passages, remove_vectors
from data.retrieval.words import count_words

FORMAT = 2
SPLIT = "train"
PIECE_BYTES = 64_000_000  # of text
PIECES = "pieces"
TEXTS = "texts.json"
UNDATED = np.iinfo(np.int32).min  # as a day: before all others, so that each search is of one range of passages
DOCUMENT = {"id": pa.string(), "source": pa.string(), **DATE_COLUMNS, "url": pa.string(), "piece": pa.uint32()}
KEPT = ("id", *DATE_COLUMNS, "url")  # of a corpus's columns
PASSAGE = np.dtype([("document", "<u4"), ("begin", "<u8"), ("end", "<u8")])
"""Place in documents.arrow, and the bytes of its piece's text."""
NOT_BUILT = "run `domainlm retrieve CONFIG`"


@dataclass(frozen=True)
class PieceJob:
    """Row groups of one corpus file that become a piece."""

    groups: tuple[RowGroup, ...]
    source: str
    stem: Path  # of its files, named by a digest of all that they are made from
    words: int
    forgotten: frozenset[bytes]  # digests of the names and of the texts

    @property
    def text(self) -> Path:
        """Its documents in UTF-8, one behind the other."""
        return self.stem.with_suffix(".text")

    @property
    def documents(self) -> Path:
        return self.stem.with_suffix(".arrow")

    @property
    def counts(self) -> Path:
        """Its passages and their words; written last."""
        return self.stem.with_suffix(".npz")


class Merged(NamedTuple):
    """The pieces as one, passages still in their order."""

    documents: pa.Table
    passages: npt.NDArray[np.void]
    days: npt.NDArray[np.int32]
    vocabulary: npt.NDArray[np.uint64]
    firsts: npt.NDArray[np.int64]
    words: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.uint16]
    lengths: npt.NDArray[np.uint32]


def index_inputs(config: DataConfig, corpus: Path, words: int, embedder: str | None) -> dict[str, Any]:
    """All that decides an index of the corpus.

    Raises:
        DataError: the corpus is missing, unfinished, or was made with other settings.
    """
    check_made_with(config, corpus)
    tombstones = corpus.parent / TOMBSTONES
    return {
        "format": FORMAT,
        "corpus": stage_digest(corpus),
        "retrieval.passage_words": words,
        "retrieval.embedding": embedder,
        "tombstones": file_digest(tombstones) if tombstones.exists() else None,
        "canaries": config.canaries is not None,
    }


def build_index(
    config: DataConfig, corpus: Path, folder: Path, words: int, embedder: Embedder | None = None
) -> dict[str, int]:
    """Make the index of a corpus in `folder`, or recognise that it is there already.

    Args:
        words: that a passage has, about.
        embedder: also keeps the passages' embeddings.

    Returns:
        How many `documents` and `passages` it has, and different `words`.

    Raises:
        DataError: the corpus is missing, damaged or has no training text, or another process writes to `folder`.
    """
    inputs = index_inputs(config, corpus, words, embedder.digest if embedder else None)
    if not is_finished("index", folder, inputs):
        with only_writer(folder):
            jobs = _jobs(config, corpus, folder, words, inputs)
            begin_stage(folder, ())
            _make_pieces(jobs, folder, config.workers)
            outputs = _merge(jobs, folder, embedder)
            finish_stage(folder, inputs, outputs)
    postings = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("passages", "vocabulary")}
    with pa.memory_map(str(folder / "documents.arrow")) as file:
        documents = pa.ipc.open_file(file).read_all().num_rows
    return {"documents": documents, "passages": len(postings["passages"]), "words": len(postings["vocabulary"])}


def _jobs(config: DataConfig, corpus: Path, folder: Path, words: int, inputs: Mapping[str, Any]) -> list[PieceJob]:
    digests = {name: file["digest"] for name, file in json.loads((corpus / MANIFEST).read_bytes())["files"].items()}
    forgotten = _forgotten(config, corpus)
    jobs = []
    for source, files in corpus_files(corpus, SPLIT).items():
        if source == CANARIES and config.canaries:
            continue
        for file in files:
            listed = digests.get(file.relative_to(corpus).as_posix())
            if listed is None:
                raise DataError(f"{file} is not in the corpus's {MANIFEST}: run `domainlm prepare CONFIG` again")
            for groups in _runs(file):
                numbers = [group.number for group in groups]
                name = value_digest([FORMAT, words, source, listed, numbers, inputs["tombstones"]])
                jobs.append(PieceJob(groups, source, folder / PIECES / name, words, forgotten))
    if not jobs:
        raise DataError(f"{corpus} has no training text: there is nothing to be found in it")
    return jobs


def _runs(file: Path) -> Iterator[tuple[RowGroup, ...]]:
    """The row groups of a file in runs of about PIECE_BYTES of text."""
    run: list[RowGroup] = []
    room = PIECE_BYTES
    for group, taken in row_groups([file]):
        if run and taken > room:
            yield tuple(run)
            run, room = [], PIECE_BYTES
        run.append(group)
        room -= taken
    if run:
        yield tuple(run)


def _forgotten(config: DataConfig, corpus: Path) -> frozenset[bytes]:
    """Digests of names and texts that were asked to be forgotten, whether the corpus is already without them or not."""
    file = corpus.parent / TOMBSTONES
    if not file.exists():
        return frozenset()
    noted = read_tombstones(file, config.near_duplicates)
    return frozenset(digest.tobytes() for digests in (noted.keys, noted.texts) for digest in digests)


def _make_pieces(jobs: list[PieceJob], folder: Path, workers: int | None) -> None:
    """Make the pieces that are missing, and remove all others."""
    wanted = {file for job in jobs for file in (job.text, job.documents, job.counts)}
    pieces = folder / PIECES
    pieces.mkdir(exist_ok=True)
    for file in pieces.iterdir():
        if file not in wanted:
            file.unlink()
    missing = [job for job in jobs if not job.counts.exists()]
    say(f"index: {len(jobs) - len(missing):,} of {len(jobs):,} pieces of the corpus are as they were")
    left_out = 0
    with closing(in_parallel(_make_piece, missing, workers, "passages", "pieces")) as made:
        for without in made:
            left_out += without
    if left_out:
        say(
            f"index: {left_out:,} documents that are to be forgotten are left out; `domainlm prepare CONFIG` drops "
            "what resembles them too"
        )


def _make_piece(job: PieceJob) -> int:
    """Write a piece; returns how many of its documents are left out because they are to be forgotten."""
    numbers = [group.number for group in job.groups]
    table = read_row_groups(job.groups[0].file, numbers, [*KEPT, "text"]).combine_chunks()
    texts = table["text"].combine_chunks().cast(pa.large_string())
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DataError(f"{job.groups[0].file} is damaged ({error}): run `domainlm prepare CONFIG` again") from None
    documents = table.num_rows
    if job.forgotten:
        kept = pa.array(_is_kept(job, table["id"].to_pylist(), texts.to_pylist()))
        table, texts = table.filter(kept), texts.filter(kept)
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset :][: len(texts) + 1]
    content = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    begins, ends, of_document = cut_passages(content, offsets - offsets[0], job.words)
    counted = count_words(content, begins, ends)
    with atomic_write(job.text) as file:
        file.write(content.data)
    columns = {name: table[name] for name in KEPT} | {"source": pa.repeat(job.source, len(texts))}
    with atomic_write(job.documents) as file, pa.ipc.new_file(file, _schema(without="piece")) as writer:
        writer.write_table(pa.table(columns).select([name for name in DOCUMENT if name != "piece"]))
    with atomic_write(job.counts) as file:
        np.savez(file, begins=begins, ends=ends, of_document=of_document, **counted._asdict())
    return int(documents - len(texts))


def _schema(without: str = "") -> pa.Schema:
    return pa.schema({name: kind for name, kind in DOCUMENT.items() if name != without})


def _is_kept(job: PieceJob, ids: list[str], texts: list[str]) -> list[bool]:
    return [
        document_key(job.source, name) not in job.forgotten and new_digest(text.encode()).digest() not in job.forgotten
        for name, text in zip(ids, texts, strict=True)
    ]


def _merge(jobs: list[PieceJob], folder: Path, embedder: Embedder | None) -> list[Path]:
    """Write the index of the pieces, passages by their last day, undated ones first; returns all of its files."""
    merged = _joined(jobs)
    order = np.argsort(merged.days, kind="stable")
    passages = merged.passages[order]
    entries = np.bincount(merged.words, minlength=len(merged.vocabulary))
    heads = np.concatenate([[0], np.cumsum(entries)])
    found, counts = np.empty(len(merged.words), np.uint32), np.empty(len(merged.words), np.uint16)
    invert(order, merged.firsts, merged.words, merged.counts, heads[:-1].copy(), found, counts)
    arrays = {
        "passages": passages,
        "days": merged.days[order],
        "vocabulary": merged.vocabulary,
        "firsts": heads,
        "entries": found,
        "counts": counts,
        "ends": np.concatenate([[0], np.cumsum(merged.lengths[order], dtype=np.int64)]),
    }
    for name, array in arrays.items():
        with atomic_write(folder / f"{name}.npy") as file:
            np.save(file, array)
    with atomic_write(folder / "documents.arrow") as file, pa.ipc.new_file(file, _schema()) as writer:
        writer.write_table(merged.documents)
    write_atomically(folder / TEXTS, json.dumps([f"{PIECES}/{job.text.name}" for job in jobs]))
    outputs = [folder / f"{name}.npy" for name in arrays] + [folder / "documents.arrow", folder / TEXTS]
    outputs += [file for job in jobs for file in (job.text, job.documents, job.counts)]
    if embedder is None:
        remove_vectors(folder)
        return outputs
    return outputs + embed_passages(folder, embedder, len(passages), _reader(jobs, merged.documents, passages))


def _reader(jobs: list[PieceJob], documents: pa.Table, passages: npt.NDArray[np.void]) -> Callable[[int], bytes]:
    """Gives the text of a passage by its place."""
    texts = [job.text.read_bytes() for job in jobs]
    pieces: list[int] = documents["piece"].to_pylist()

    def text_of(place: int) -> bytes:
        document, begin, end = (int(value) for value in passages[place].tolist())
        return texts[pieces[document]][begin:end]

    return text_of


def _joined(jobs: list[PieceJob]) -> Merged:
    """All pieces in their order, with one vocabulary."""
    loaded = [dict(np.load(job.counts)) for job in jobs]
    vocabulary = np.unique(np.concatenate([piece["vocabulary"] for piece in loaded]))
    tables, passages, shift = [], [], 0
    for number, (job, piece) in enumerate(zip(jobs, loaded, strict=True)):
        with pa.memory_map(str(job.documents)) as file:
            table = pa.ipc.open_file(file).read_all()
        of_piece = np.empty(len(piece["begins"]), PASSAGE)
        of_piece["document"] = np.repeat(np.arange(table.num_rows), piece["of_document"]) + shift
        of_piece["begin"], of_piece["end"] = piece["begins"], piece["ends"]
        passages.append(of_piece)
        tables.append(table.append_column("piece", pa.repeat(pa.scalar(number, pa.uint32()), table.num_rows)))
        shift += table.num_rows
        places = np.searchsorted(vocabulary, piece["vocabulary"])
        piece["words"] = np.asarray(places, np.uint32)[piece["words"]]
    documents, joined = pa.concat_tables(tables).combine_chunks(), np.concatenate(passages)
    days = documents["last_date"].cast(pa.int32()).fill_null(int(UNDATED)).to_numpy()
    sizes = np.concatenate([np.diff(piece["firsts"]) for piece in loaded])
    return Merged(
        documents,
        joined,
        days[joined["document"]].astype(np.int32),
        vocabulary,
        np.concatenate([[0], np.cumsum(sizes)]),
        np.concatenate([piece["words"] for piece in loaded]),
        np.concatenate([piece["counts"] for piece in loaded]),
        np.concatenate([piece["lengths"] for piece in loaded]),
    )
