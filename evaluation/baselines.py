"""What needs no GPU, measured on the same held-out text as the model: a byte n-gram model, xz and zstd.

The compressors measure a text alone, and after the training text: one much smaller after the training text than alone
holds passages of it, near-duplicates on both sides of a split.
"""

import datetime
import json
import lzma
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import zstandard

from data.corpus.files import corpus_batches, corpus_files
from data.files import stage_digest, write_atomically
from data.progress import progress, say
from evaluation.bits_per_byte import HELD_OUT_SPLITS, choose_evenly
from evaluation.ngram import ORDER, probabilities

BASELINES = ("ngram", "xz", "zstd")
CACHE = "baselines.json"
WORKERS = 2  # threads: all measurements spend their time outside the interpreter's lock
ZSTD_LEVEL = 22
ZSTD_WINDOW_LOG = 27  # 128 MiB: all that `decompress` accepts unasked
SMALLEST_DICTIONARY = 4096  # of xz
SMALLEST_PREFIX = 8  # zstd refuses a dictionary of fewer bytes

Results = dict[str, dict[str, dict[str, float]]]
"""Bits per byte: {name: {source: {split: figure}}}."""
HeldOut = dict[str, dict[str, list[bytes]]]
"""Documents: {source: {split: texts}}."""


@dataclass(frozen=True)
class Limits:
    """How much text is looked at. The figures depend on it, so a kept result is of one set of limits."""

    training_bytes: int = 32_000_000
    """For the n-gram model: of all sources, evenly spread. For the compressors: the source's own newest documents."""
    held_out_bytes: int = 8_000_000
    """Of each source and split: whole documents, evenly spread over it."""
    order: int = ORDER
    """Of the n-gram model: bytes of context, plus one."""


@dataclass(frozen=True)
class _Documents:
    """The documents of one source of one split; their texts are read when they are wanted."""

    files: list[Path]
    dates: list[datetime.date | None]  # the last of each
    sizes: list[int]  # bytes of UTF-8

    def texts(self, indices: Sequence[int]) -> list[bytes]:
        """The documents with these indices, in the order of the indices."""
        found: dict[int, bytes] = {}
        ascending, first = np.unique(np.asarray(indices, np.int64)), 0
        for batch in corpus_batches(self.files, ["text"]):
            begin, end = np.searchsorted(ascending, [first, first + len(batch)])
            inside = ascending[begin:end]
            texts = batch.column(0).take(inside - first).to_pylist()
            found |= zip(inside.tolist(), (text.encode() for text in texts), strict=True)
            first += len(batch)
        return [found[index] for index in indices]


def measure_baselines(
    corpus: Path,
    folder: Path,
    names: Sequence[str] = BASELINES,
    splits: Sequence[str] = HELD_OUT_SPLITS,
    limits: Limits | None = None,
    documents: Mapping[str, Mapping[str, int]] | None = None,
) -> dict[str, Any]:
    """Bits per byte of the held-out text of each source and split under each baseline.

    Args:
        corpus: the corpus folder, finished.
        folder: where the result is kept; for the same corpus and settings it is read back.
        names: of BASELINES; xz and zstd also give NAME_primed, the text after its source's training text.
        documents: how many of each source and split are measured, those that `choose_evenly` takes first; None for all.

    Returns:
        {"baselines": {name: {source: {split: bits per byte}}}, "baseline_methods": {name: what was measured}}

    Raises:
        DataError: the corpus is missing or unfinished.
    """
    limits = limits or Limits()
    inputs = {"corpus": stage_digest(corpus), "names": list(names), "splits": list(splits), **asdict(limits)}
    inputs |= {"documents": documents} if documents is not None else {}
    if (kept := _read_kept(folder / CACHE)).get("inputs") == inputs:
        say(f"baselines: {folder / CACHE} is up to date")
        return {key: kept[key] for key in ("baselines", "baseline_methods")}
    training = _index(corpus, "train")
    held_out: HeldOut = {}
    is_cut = False
    for split in splits:
        for source, found in _index(corpus, split).items():
            wanted = len(found.sizes) if documents is None else documents.get(source, {}).get(split, 0)
            if wanted:
                # Both are beginnings of one order, so that the shorter one is part of the other.
                most = choose_evenly(found.sizes, limits.held_out_bytes)
                chosen = sorted(set(most).intersection(choose_evenly([1] * len(found.sizes), wanted)))
                is_cut |= len(chosen) < wanted
                held_out.setdefault(source, {})[split] = found.texts(chosen)
    jobs = [partial(_measure_ngram, training, held_out, limits)] if "ngram" in names else []
    jobs += [
        partial(_measure_compressor, name, source, training.get(source), texts, limits.training_bytes)
        for name in names
        if name != "ngram"
        for source, texts in held_out.items()
    ]
    baselines: Results = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(job) for job in jobs]
        for future in progress(futures, "baselines", unit="measurements"):
            for name, sources in future.result().items():
                baselines.setdefault(name, {}).update(sources)
    result = {"baselines": baselines, "baseline_methods": _describe(baselines, training, limits, is_cut)}
    write_atomically(folder / CACHE, json.dumps({"inputs": inputs, **result}, indent=1))
    return result


def measured(baselines: Results, source: str, split: str) -> dict[str, float]:
    """Bits per byte of one split of one source under each baseline that was measured on it."""
    return {name: found[source][split] for name, found in baselines.items() if split in found.get(source, {})}


def _read_kept(path: Path) -> dict[str, Any]:
    """The result of an earlier call; empty when there is none that can be read."""
    try:
        kept = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _index(corpus: Path, split: str) -> dict[str, _Documents]:
    """The documents of each source of one split; none where the split does not exist."""
    found = {}
    for source, files in corpus_files(corpus, split).items():
        dates: list[datetime.date | None] = []
        sizes: list[int] = []
        for batch in corpus_batches(files, ["last_date", "text"]):
            dates += batch.column("last_date").to_pylist()
            sizes += pc.binary_length(batch.column("text")).to_pylist()
        if sizes:
            found[source] = _Documents(files, dates, sizes)
    return found


def _measure_ngram(training: dict[str, _Documents], held_out: HeldOut, limits: Limits) -> Results:
    """Trained on the text of all sources; each held-out document is scored from its start, knowing no other."""
    every = sum(sum(documents.sizes) for documents in training.values())
    texts = [
        text
        for documents in training.values()
        for text in documents.texts(
            choose_evenly(documents.sizes, limits.training_bytes * sum(documents.sizes) // every)
        )
    ]
    cells = [(source, split) for source, splits in held_out.items() for split in splits]
    scored = iter(probabilities(texts, [text for a, b in cells for text in held_out[a][b]], limits.order))
    result: dict[str, dict[str, float]] = {}
    for source, split in cells:
        documents = [next(scored) for _ in held_out[source][split]]
        bits = -sum(float(np.log2(document).sum()) for document in documents)
        result.setdefault(source, {})[split] = bits / sum(len(document) for document in documents)
    return {"ngram": result}


def _measure_compressor(
    name: str, source: str, training: _Documents | None, held_out: dict[str, list[bytes]], training_bytes: int
) -> Results:
    """The held-out documents of one source, one to a line, alone and after the source's training documents."""
    size, primed_sizes = {"xz": (xz_size, xz_primed_sizes), "zstd": (zstd_size, zstd_primed_sizes)}[name]
    texts = [b"\n".join(documents) for documents in held_out.values()]

    def bits_per_byte(sizes: list[int]) -> dict[str, dict[str, float]]:
        figures = zip(held_out, sizes, texts, strict=True)
        return {source: {split: 8 * size / len(text) for split, size, text in figures}}

    result = {name: bits_per_byte([size(text) for text in texts])}
    if training:
        prime = b"".join(document + b"\n" for document in training.texts(_newest(training, training_bytes)))
        result[f"{name}_primed"] = bits_per_byte(primed_sizes(prime, texts))
    return result


def _newest(documents: _Documents, maximum_bytes: int) -> list[int]:
    """Indices of the newest documents that fit, oldest first: what is nearest to the cutoff is nearest to what follows.

    Undated documents count as the oldest.
    """
    order = sorted(range(len(documents.sizes)), key=lambda index: documents.dates[index] or datetime.date.min)
    sizes_to_end = np.cumsum([documents.sizes[index] for index in reversed(order)])
    fitting = int(np.searchsorted(sizes_to_end, maximum_bytes, side="right"))
    return order[len(order) - fitting :]


def _describe(baselines: Results, training: dict[str, _Documents], limits: Limits, is_cut: bool) -> dict[str, str]:
    """What the figures are of, for people."""
    part = f"; of each source's held-out text at most {limits.held_out_bytes:,} bytes were measured" if is_cut else ""
    every = sum(sum(documents.sizes) for documents in training.values())
    read = f"{min(every, limits.training_bytes):,} of {every:,} bytes"
    primed = f"after the newest training text of the same source (up to {limits.training_bytes:,} bytes)"
    methods = {
        "ngram": f"byte {limits.order}-gram, modified Kneser–Ney, counted on {read} of all sources' training text",
        "xz": "xz (LZMA2, preset 9e) of the held-out text alone",
        "xz_primed": f"xz of the held-out text {primed}",
        "zstd": "zstd (level 22) of the held-out text alone",
        "zstd_primed": f"zstd of the held-out text {primed}",
    }
    return {name: methods[name] + part for name in baselines}


def xz_size(text: bytes) -> int:
    """Bytes of `text` as an LZMA2 stream at preset 9e, its dictionary as long as the text, without a container."""
    preset = 9 | lzma.PRESET_EXTREME
    filters = [{"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": max(len(text), SMALLEST_DICTIONARY)}]
    return len(lzma.compress(text, lzma.FORMAT_RAW, filters=filters))


def xz_primed_sizes(training: bytes, texts: Sequence[bytes]) -> list[int]:
    """Bytes that each text adds to the compressed training text when it is appended: size(both) - size(training)."""
    alone = xz_size(training)
    return [xz_size(training + text) - alone for text in texts]


def zstd_size(text: bytes) -> int:
    """Bytes of `text` as one zstd frame at level 22."""
    return len(zstandard.ZstdCompressor(compression_params=_zstd_parameters(len(text))).compress(text))


def zstd_primed_sizes(training: bytes, texts: Sequence[bytes]) -> list[int]:
    """Bytes of each text as a zstd frame at level 22 that may refer to the training text, a raw-content dictionary."""
    if len(training) < SMALLEST_PREFIX:
        return [zstd_size(text) for text in texts]
    parameters = _zstd_parameters(len(training) + max(map(len, texts), default=0))
    prefix = zstandard.ZstdCompressionDict(training, zstandard.DICT_TYPE_RAWCONTENT)
    prefix.precompute_compress(compression_params=parameters)  # once for all texts: it takes nearly all of the time
    return [
        len(zstandard.ZstdCompressor(dict_data=prefix, compression_params=parameters).compress(text)) for text in texts
    ]


def _zstd_parameters(size: int) -> zstandard.ZstdCompressionParameters:
    return zstandard.ZstdCompressionParameters.from_level(
        ZSTD_LEVEL, source_size=size, window_log=ZSTD_WINDOW_LOG, write_content_size=False
    )
