"""What another model has read of a run's held-out documents: of one that has read them no figure tells what is new."""

import datetime
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from data.errors import DataError
from data.shards.documents import read_documents
from data.shards.format import read_manifest
from domainlm.measure.named_model import named_run
from evaluation.bits_per_byte import HELD_OUT_SPLITS
from model.huggingface_folder import read_record
from train.checkpoints.folders import Checkpoint, CheckpointError, find_checkpoint
from train.checkpoints.identity import shards_of
from train.config import RunConfig
from train.records.text_read import apart, drawn_alike, text_of

UNKNOWN_TEXT = (
    "what it was trained on is not known here: it may have read these documents, those before its release above all"
)


class HeldOutId(NamedTuple):
    """A held-out document, as two runs that have it know it."""

    split: str
    id: str
    last_date: datetime.date | None
    source: str


@dataclass(frozen=True)
class AlreadyRead:
    """Of which splits a model has read held-out documents, how many, and what a reader of its figures has to know."""

    documents: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def already_read(path: str, held_out: Collection[HeldOutId], config: RunConfig) -> AlreadyRead:
    """What the model that `path` names (as `named_model.load_named` takes it) may know of the documents of a run.

    Of a run this is known, by ids and last days, as long as the shards that its checkpoint was trained on are there. Of
    an export, and of what a run has read before it began, by the files and the cutoff that are recorded.
    """
    ours, run = text_of(config), named_run(path)
    if run is None:
        record = read_record(Path(path))
        if not record.get("read"):
            return AlreadyRead(remarks=(UNKNOWN_TEXT,))
        return _by_text(Path(path).name, record["read"], held_out, ours)
    other, step = run
    try:
        checkpoint = find_checkpoint(other, step)
        before = _by_text(other.name, (checkpoint.manifest.get("read") or [])[1:], held_out, ours)
        own = _by_id(other, checkpoint, held_out)
    except (DataError, CheckpointError, OSError) as error:
        return AlreadyRead(remarks=(f"whether {other.name} was trained on these documents is not known: {error}",))
    most = {split: max(own.documents.get(split, 0), before.documents.get(split, 0)) for split in HELD_OUT_SPLITS}
    return AlreadyRead({split: count for split, count in most.items() if count}, own.remarks + before.remarks)


def _by_text(
    name: str, texts: Sequence[Mapping[str, Any]], held_out: Collection[HeldOutId], ours: Mapping[str, Any]
) -> AlreadyRead:
    """What may have been read of documents in texts that are known by what train/records/text_read.py says of them."""
    read: set[HeldOutId] = set()
    remarks = []
    for text in (text for text in texts if not apart(ours, text)):
        files = set(text.get("sources", {}).values())
        shared = {source for source, digest in ours.get("sources", {}).items() if digest in files}
        kept_out = bool(shared) and ours["cleaning"] == text["cleaning"] and drawn_alike(ours, text)
        found = {
            each
            for each in held_out
            if each.source in shared
            and not (text["cutoff"] and each.last_date and each.last_date.isoformat() >= text["cutoff"])
            and not (kept_out and each.split == "past")
        }
        read |= found
        if found:
            remarks.append(
                f"{len(found):,} of the {len(held_out):,} documents are in files that {name} was trained on, and not "
                f"of its cutoff {text['cutoff']} or later: for it they are not held out"
            )
        if not shared >= {each.source for each in held_out}:
            remarks.append(
                f"{name} has read other text (shards {text['shards']}): whether these documents were in it is not known"
            )
    return AlreadyRead(dict(Counter(each.split for each in read)), tuple(remarks))


def _by_id(config: RunConfig, checkpoint: Checkpoint, held_out: Collection[HeldOutId]) -> AlreadyRead:
    """What the shards of a run say. Raises DataError: they are missing, or not those of the checkpoint."""
    trained, others = _documents(config, checkpoint)
    wanted = {(each.id, each.last_date): each.split for each in held_out}
    read = Counter(wanted[key] for key in wanted.keys() & trained)
    cutoff = config.data.cutoff
    strange = [last for _, last in wanted.keys() - trained - others if not (cutoff and last and last >= cutoff)]
    remarks = []
    if read:
        remarks.append(
            f"{read.total():,} of the {len(wanted):,} documents are among those that {config.name} was trained on, by "
            "their ids: for it they are not held out"
        )
    if strange:
        remarks.append(
            f"{len(strange):,} of the {len(wanted):,} documents are not in the data of {config.name} under the same "
            "ids, and were there before its cutoff: whether it was trained on them under others is not known"
        )
    return AlreadyRead(dict(read), tuple(remarks))


Keys = set[tuple[str, datetime.date | None]]


def _documents(config: RunConfig, checkpoint: Checkpoint) -> tuple[Keys, Keys]:
    """Those that a run was trained on, and those that it holds out.

    Raises:
        DataError: its shards are missing, or are not those that its checkpoint was trained on.
    """
    manifest = read_manifest(config.shards)
    if manifest.digest != shards_of(checkpoint, config):
        raise DataError(f"{config.shards} are not the shards that {checkpoint.folder} was trained on")
    trained, held_out = Keys(), Keys()
    for split, sources in manifest.splits.items():
        for file in (file for source in sources.values() for file in source.files):
            table = read_documents(config.shards / file.documents_path)
            keys = zip(table["id"].to_pylist(), table["last_date"].to_pylist(), strict=True)
            (trained if split == "train" else held_out).update(keys)
    return trained, held_out
