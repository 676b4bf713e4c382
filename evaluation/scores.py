"""What a model needs for each held-out document, kept as it is measured: an evaluation that is stopped goes on.

Every model is scored on the same documents, those of a run's shards, in groups of some pages. A group is a line
of scores.jsonl once it is done. Several processes may share the groups of a model, each with a file of its own.
"""

import json
import os
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.corpus.files import corpus_batches, corpus_files
from data.errors import DataError
from data.files import atomic_write, value_digest
from data.lock import only_writer
from data.progress import progress, say
from data.shards.format import EncodedDocument
from evaluation.bits_per_byte import DocumentScore, HeldOut, Rule, Score, score_encoded
from evaluation.language_model import LanguageModel, same_text

FORMAT = 1
SCORES = "scores"
"""In reports/: a folder of scores for each model and text."""
INPUTS = "inputs.json"
GROUP_BYTES = 20_000
"""Of text in a group: about what is lost when a process dies, and a batch or two."""
TEXT_BYTES = 64_000_000
"""Of text that is held at once, for models that read texts."""


@dataclass(frozen=True)
class Text:
    """The held-out documents that models are compared on.

    Attributes:
        digest: of the shards.
        tokenizer_digest: of the tokenizer that the documents are encoded with.
        corpus: where their texts are, for models with another.
    """

    digest: str
    tokenizer_digest: str
    corpus: Path
    documents: Sequence[HeldOut]


@dataclass(frozen=True)
class Scored:
    """What a model was measured to need.

    Attributes:
        inputs: what was measured, as it stands in inputs.json.
        documents: those of the text, in its order.
        seconds: of scoring alone, of all processes together.
        peak_bytes: most memory that one process held: of its GPU, or without one all of the process's.
    """

    inputs: dict[str, Any]
    documents: list[DocumentScore]
    seconds: float
    peak_bytes: int

    @property
    def tokens_per_second(self) -> float:
        return sum(document.score.tokens for document in self.documents) / max(self.seconds, 1e-9)


def score_model(
    model: LanguageModel, text: Text, folder: Path, rule: Rule = "half", shard: tuple[int, int] | None = None
) -> Scored | None:
    """Score the documents that are not scored yet; of a shard (i, n) those of every n-th group.

    Args:
        folder: where the scores of all models are kept.

    Returns:
        All scores; None while groups of other shards are missing.

    Raises:
        DataError: the texts are needed and not there, or another process does the same.
    """
    inputs = {
        "format": FORMAT,
        "name": model.name,
        "parameters": model.parameters,
        "model": model.digest,
        "text": text.digest,
        "documents": value_digest([each.document.id for each in text.documents]),
        "window": model.window,
        "windows": rule,
        "device": model.device,
        "group_bytes": GROUP_BYTES,
    }
    place = folder / f"{model.name}-{value_digest(inputs)[:8]}"
    groups = list(_groups(text.documents))
    with only_writer(place, shard):
        place.mkdir(parents=True, exist_ok=True)
        with atomic_write(place / INPUTS) as file:
            file.write(json.dumps(inputs, indent=1).encode())
        done = _read(place)
        number, of = shard or (0, 1)
        wanted = [group for group in range(number, len(groups), of) if group not in done]
        if not wanted:
            say(f"{model.name}: its scores are up to date in {place}")
        own = place / (f"scores-{number}-of-{of}.jsonl" if shard else "scores.jsonl")
        encoded = _encoded(model, text, [groups[group] for group in wanted])
        for group, documents in zip(
            progress(wanted, f"{model.name}, held-out text", unit="groups"), encoded, strict=True
        ):
            _append(own, group, model, documents, rule)
    done = _read(place)
    if any(group not in done for group in range(len(groups))):
        return None
    scores = [Score(*score) for group in range(len(groups)) for score in done[group]["scores"]]
    return Scored(
        inputs,
        [
            DocumentScore(each.source, each.split, each.document.date, score)
            for each, score in zip(text.documents, scores, strict=True)
        ],
        sum(line["seconds"] for line in done.values()),
        max((line["peak_bytes"] for line in done.values()), default=0),
    )


def _groups(documents: Sequence[HeldOut]) -> Iterator[range]:
    """Indices of documents that follow each other."""
    first = size = 0
    for index, each in enumerate(documents):
        if size >= GROUP_BYTES:
            yield range(first, index)
            first, size = index, 0
        size += each.document.bytes
    yield range(first, len(documents))


def _read(place: Path) -> dict[int, dict[str, Any]]:
    """The groups that are done, by number; a line that a dying process has not finished is none."""
    done = {}
    for file in sorted(place.glob("scores*.jsonl")):
        for line in file.read_bytes().split(b"\n")[:-1]:
            try:
                content = json.loads(line)
            except ValueError:  # what stands behind an unfinished line
                continue
            done[int(content["group"])] = content
    return done


def _append(file: Path, group: int, model: LanguageModel, documents: Sequence[EncodedDocument], rule: Rule) -> None:
    begin = time.perf_counter()
    scores = score_encoded(
        model.token_losses,
        documents,
        window=model.window,
        batch_tokens=max(model.batch_tokens, model.window),
        rule=rule,
        shown=False,
    )
    line = {
        "group": group,
        "scores": [[score.nats, score.tokens, score.bytes] for score in scores],
        "seconds": round(time.perf_counter() - begin, 3),
        "peak_bytes": _peak_bytes(model),
    }
    broken = file.exists() and not file.read_bytes().endswith(b"\n")
    with file.open("ab") as lines:
        lines.write(b"\n" * broken + json.dumps(line).encode() + b"\n")
        lines.flush()
        os.fsync(lines.fileno())


def _encoded(model: LanguageModel, text: Text, groups: Sequence[range]) -> Iterator[list[EncodedDocument]]:
    """The documents of each group in the ids of the model: the shards', or those of the corpus's texts."""
    texts: dict[tuple[str, str, str], str] = {}
    for place, group in enumerate(groups):
        chosen = [text.documents[index] for index in group]
        if model.tokenizer_digest == text.tokenizer_digest:
            yield [each.document for each in chosen]
            continue
        if any(each.document.counted is not None for each in chosen):
            raise DataError(
                f"{model.name} has another tokenizer than the fine-tuned run, whose responses are measured as its chat "
                "template writes them: only models of that tokenizer can be compared on them"
            )
        if _key(chosen[0]) not in texts:
            texts = _read_texts(text, groups[place:])
        yield [_encode(model, each, texts.get(_key(each)), text.corpus) for each in chosen]


def _key(each: HeldOut) -> tuple[str, str, str]:
    return each.source, each.split, each.document.id


def _read_texts(text: Text, groups: Sequence[range]) -> dict[tuple[str, str, str], str]:
    """The texts of as many of the first groups as TEXT_BYTES hold, of one at least."""
    wanted: set[tuple[str, str, str]] = set()
    size = 0
    for group in groups:
        if wanted and size > TEXT_BYTES:
            break
        wanted |= {_key(text.documents[index]) for index in group}
        size += sum(text.documents[index].document.bytes for index in group)
    texts = {}
    for source, split in sorted({key[:2] for key in wanted}):
        for batch in corpus_batches(corpus_files(text.corpus, split).get(source, []), ["id", "text"]):
            for id_, content in zip(batch.column(0).to_pylist(), batch.column(1), strict=True):
                if (source, split, id_) in wanted:
                    texts[source, split, id_] = content.as_py()
    return texts


def _encode(model: LanguageModel, each: HeldOut, content: str | None, corpus: Path) -> EncodedDocument:
    """Raises DataError: the text is not in the corpus, or the tokenizer does not give it back."""
    document = each.document
    if content is None:
        raise DataError(f"{corpus} has no {each.split} document {document.id} of {each.source}: prepare it again")
    begin, *ids = model.encode(content)
    if not same_text(model.decode(ids), content):
        raise DataError(
            f"{model.name}: its tokenizer does not give document {document.id} of {each.source} back as it is, so that "
            "its tokens stand for an unknown number of bytes: no bits per byte can be told"
        )
    return EncodedDocument(document.id, document.date, np.asarray(ids, np.int64), document.bytes, begin)


def _peak_bytes(model: LanguageModel) -> int:
    if model.device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
