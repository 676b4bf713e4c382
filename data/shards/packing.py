"""Packing: which tokens of the shards make the rows of a run, written beside them as files of their own."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import MANIFEST, atomic_write, begin_stage, file_digest, value_digest, write_atomically
from data.lock import only_writer
from data.progress import progress, say
from data.shards.reader import RUN_AGAIN, SOURCE_NAME, shard_name

if TYPE_CHECKING:  # what packs needs Arrow, what reads rows does not
    from data.shards.format import ShardFile

Policy = Literal["best_fit", "concatenate"]

FORMAT = 2
SPLIT = "train"
ROW_NUMBERS = np.dtype("<i4")
MAXIMUM_FILE_TOKENS = 2**31 - 1  # what ROW_NUMBERS can count


@dataclass(frozen=True)
class PackedSource:
    """The rows of one source; each tuple has an entry for each of its shard files, in order."""

    tokens: tuple[int, ...]
    documents: tuple[int, ...]
    rows: tuple[int, ...]
    padding: tuple[int, ...]  # tokens of the rows that are nothing
    cut_documents: tuple[int, ...]  # that lie in more than one row
    cut_needlessly: tuple[int, ...]  # though they would have fitted into one
    token_digests: tuple[str, ...]  # of the shard's NAME.bin
    row_digests: tuple[str, ...]  # of NAME.rows; empty strings for concatenate, which needs no such file


@dataclass(frozen=True)
class Packing:
    """The manifest of packed/POLICY-LENGTH."""

    policy: Policy
    sequence_length: int
    shards_digest: str
    dtype: str
    vocabulary_size: int
    end_of_text: int
    sources: dict[str, PackedSource]
    digest: str  # of all of the above
    has_counted: bool = False  # whether some tokens do not count in the loss

    def padding(self) -> float:
        """Share of all rows that is padding."""
        rows = sum(sum(source.rows) for source in self.sources.values())
        return sum(sum(source.padding) for source in self.sources.values()) / max(1, rows * self.sequence_length)


class _Job(NamedTuple):
    folder: Path
    target: Path
    file: "ShardFile"
    policy: Policy
    sequence_length: int


class _FilePacking(NamedTuple):
    """The entries of one file in PackedSource, in its order."""

    tokens: int
    documents: int
    rows: int
    padding: int
    cut_documents: int
    cut_needlessly: int
    token_digest: str
    row_digest: str


def packing_folder(folder: Path, policy: str, sequence_length: int) -> Path:
    """Where the packing of a folder of shards lies."""
    return folder / "packed" / f"{policy}-{sequence_length}"


def pack_shards(folder: Path, policy: Policy, sequence_length: int, workers: int | None = None) -> Packing:
    """Write the rows of `sequence_length` predicted tokens of the training split, unless they are there already.

    best_fit: see best_fit.py. concatenate: the documents of a file behind one another, cut every `sequence_length`
    tokens; its rows need no file, only their number is written. Either way each token of each document is predicted
    exactly once in a pass. What is padded and cut is counted for each file and said.

    Raises DataError when the shards are unfinished, one is too large, or another process writes the packing.
    """
    from data.parallel import available_cpus
    from data.shards.format import read_manifest

    manifest = read_manifest(folder)
    target = packing_folder(folder, policy, sequence_length)
    if (finished := _finished(folder, policy, sequence_length)) is not None:
        return finished
    with only_writer(target):
        begin_stage(target, [SPLIT])
        sources = manifest.splits.get(SPLIT, {})
        jobs = [
            _Job(folder, target, file, policy, sequence_length) for shards in sources.values() for file in shards.files
        ]
        # Arrow and the compiled packing leave the interpreter's lock alone: threads will do
        with ThreadPoolExecutor(workers or available_cpus()) as pool:
            packed = progress(pool.map(_pack_file, jobs), f"pack {policy}-{sequence_length}", len(jobs), "files")
            per_source = {
                source: PackedSource(*zip(*(next(packed) for _ in shards.files), strict=True))
                for source, shards in sources.items()
                if shards.files
            }
        content = {
            "format": FORMAT,
            "policy": policy,
            "sequence_length": sequence_length,
            "shards_digest": manifest.digest,
            "dtype": manifest.dtype,
            "vocabulary_size": manifest.vocabulary_size,
            "end_of_text": manifest.end_of_text,
            "sources": {source: dataclasses.asdict(shards) for source, shards in per_source.items()},
            **({"has_counted": True} if manifest.has_counted else {}),
        }
        write_atomically(target / MANIFEST, json.dumps(content | {"digest": value_digest(content)}))
    packing = read_packing(folder, policy, sequence_length)
    say(describe(packing))
    return packing


def read_packing(folder: Path, policy: str, sequence_length: int) -> Packing:
    """The manifest of a packing, checked against itself and against the shards' manifest; no other file is touched.

    Raises DataError when there is none, or it belongs to other shards.
    """
    path = packing_folder(folder, policy, sequence_length) / MANIFEST
    try:
        content = json.loads(path.read_bytes())
        shards = json.loads((folder / MANIFEST).read_bytes())
        digest = content.pop("digest")
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} does not exist: run `domainlm tokenize CONFIG` first") from None
    except (ValueError, AttributeError, KeyError, TypeError):
        raise DataError(f"{path} or the shards' manifest is damaged: {RUN_AGAIN}") from None
    if value_digest(content) != digest or content.pop("format", None) != FORMAT:
        raise DataError(f"{path} has another format than {FORMAT}, or was edited or damaged: {RUN_AGAIN}")
    if content["shards_digest"] != shards.get("digest"):
        raise DataError(f"{path} was made for other shards than those in {folder}: {RUN_AGAIN}")
    # a name must not lead out of the folder
    if not all(SOURCE_NAME.fullmatch(source) for source in content["sources"]):
        raise DataError(f"{path} names sources that cannot be: {RUN_AGAIN}")
    sources = {
        source: PackedSource(**{name: tuple(values) for name, values in columns.items()})
        for source, columns in content["sources"].items()
    }
    return Packing(**(content | {"sources": sources}), digest=digest)


def verify_packing(folder: Path, packing: Packing, part: int = 0, parts: int = 1) -> None:
    """Compare the files of rows with the manifest, or one of `parts` equal parts of them.

    Raises DataError naming the first file that differs.
    """
    target = packing_folder(folder, packing.policy, packing.sequence_length)
    files = [
        (target / f"{shard_name(SPLIT, source, number)}.rows", digest)
        for source, packed in packing.sources.items()
        for number, digest in enumerate(packed.row_digests)
        if digest
    ]
    for path, digest in files[part::parts]:
        if not path.exists() or file_digest(path) != digest:
            raise DataError(f"{path} is missing or damaged: {RUN_AGAIN}")


def describe(packing: Packing) -> str:
    """One line: rows, padding, and what was cut."""
    sources = packing.sources.values()
    documents = max(1, sum(sum(source.documents) for source in sources))
    cut = sum(sum(source.cut_documents) for source in sources) / documents
    needlessly = sum(sum(source.cut_needlessly) for source in sources) / documents
    return (
        f"packing {packing.policy}-{packing.sequence_length}: {sum(sum(source.rows) for source in sources):,} rows, "
        f"{packing.padding():.3%} padding, no token dropped; {cut:.1%} of the documents cut over several rows, "
        f"{needlessly:.1%} though they would fit into one"
    )


def _finished(folder: Path, policy: Policy, sequence_length: int) -> Packing | None:
    """The packing if it is whole; says why if there is something else."""
    target = packing_folder(folder, policy, sequence_length)
    if not (target / MANIFEST).exists():
        return None
    try:
        packing = read_packing(folder, policy, sequence_length)
        verify_packing(folder, packing)
    except DataError as error:
        say(f"packing: redoing {target}: {error}")
        return None
    say(f"packing: {target} is up to date")
    return packing


def _pack_file(job: _Job) -> _FilePacking:
    import pyarrow.parquet as pq

    tokens, length = job.file.tokens, job.sequence_length
    lengths = pq.read_table(job.folder / job.file.documents_path, columns=["tokens"])["tokens"].to_numpy()
    if tokens > MAXIMUM_FILE_TOKENS:
        raise DataError(f"{job.file.name} has {tokens:,} tokens, packing takes {MAXIMUM_FILE_TOKENS:,} a file")
    if job.policy == "concatenate":
        ends = np.cumsum(lengths)
        cut = (ends - lengths) // length != (ends - 1) // length
        rows, row_digest = -(-tokens // length), ""
    else:
        cut = lengths > length
        rows, row_digest = _write_rows(job.target / f"{job.file.name}.rows", lengths, length)
    return _FilePacking(
        tokens=tokens,
        documents=len(lengths),
        rows=rows,
        padding=rows * length - tokens,
        cut_documents=int(cut.sum()),
        cut_needlessly=int((cut & (lengths <= length)).sum()),
        token_digest=job.file.tokens_digest,
        row_digest=row_digest,
    )


def _write_rows(path: Path, lengths: npt.NDArray[np.int64], sequence_length: int) -> tuple[int, str]:
    """Pack documents by best fit; returns the number of rows and the digest of their file."""
    from data.shards.best_fit import best_fit

    packed = best_fit(lengths, sequence_length)
    with atomic_write(path) as file:
        file.write(packed.offsets.astype(ROW_NUMBERS).tobytes())
        file.write(np.stack([packed.first, packed.tokens], axis=1).astype(ROW_NUMBERS).tobytes())
    return len(packed.offsets) - 1, file_digest(path)
