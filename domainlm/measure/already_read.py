"""What another model has read of a run's held-out documents: of one that has read them no figure tells what is new."""

import datetime
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from data.errors import DataError
from data.shards.documents import read_documents
from data.shards.format import read_manifest
from domainlm.measure.named_model import named_run
from train.checkpoints.folders import CheckpointError, find_checkpoint
from train.checkpoints.identity import shards_of
from train.config import RunConfig

UNKNOWN_TEXT = (
    "what it was trained on is not known here: it may have read these documents, those before its release above all"
)


class HeldOutId(NamedTuple):
    """A held-out document, as two runs that have it know it."""

    split: str
    id: str
    last_date: datetime.date | None


@dataclass(frozen=True)
class AlreadyRead:
    """Of which splits a model has read held-out documents, how many, and what a reader of its figures has to know."""

    documents: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def already_read(path: str, held_out: Collection[HeldOutId]) -> AlreadyRead:
    """What the model that `path` names (as `named_model.load_named` takes it) may know of the documents.

    Of a run this is known, by ids and last days, as long as the shards that its checkpoint was trained on are there.
    """
    if (run := named_run(path)) is None:
        return AlreadyRead(remarks=(UNKNOWN_TEXT,))
    config, step = run
    try:
        trained, others = _documents(config, step)
    except (DataError, CheckpointError, OSError) as error:
        return AlreadyRead(remarks=(f"whether {config.name} was trained on these documents is not known: {error}",))
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


def _documents(config: RunConfig, step: int | None) -> tuple[Keys, Keys]:
    """Those that a run was trained on, and those that it holds out.

    Raises:
        DataError, CheckpointError: its shards are missing, or are not those that its checkpoint was trained on.
    """
    manifest, checkpoint = read_manifest(config.shards), find_checkpoint(config, step)
    if manifest.digest != shards_of(checkpoint, config):
        raise DataError(f"{config.shards} are not the shards that {checkpoint.folder} was trained on")
    trained, held_out = Keys(), Keys()
    for split, sources in manifest.splits.items():
        for file in (file for source in sources.values() for file in source.files):
            table = read_documents(config.shards / file.documents_path)
            keys = zip(table["id"].to_pylist(), table["last_date"].to_pylist(), strict=True)
            (trained if split == "train" else held_out).update(keys)
    return trained, held_out
