"""The account of a corpus: what must hold of its sources before it is used, and report.json."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.addresses import without_secrets
from data.config import DataConfig, SourceConfig
from data.corpus.counts import Counts, by_reason, merged
from data.corpus.decontaminate import Items
from data.corpus.split import SPLITS
from data.corpus.write_kept import Kept
from data.errors import DataError


def check_dates(source: SourceConfig, counts: Counts, config: DataConfig, quarantine: Path) -> None:
    """Under a cutoff, a source whose undated documents are refused must not have any; DataError otherwise."""
    if config.cutoff and source.undated == "refuse" and counts.undated:
        raise DataError(
            f"source '{source.name}': {counts.undated:,} of {counts.read - counts.malformed:,} documents have no date, "
            "but data.cutoff is set: name the field in date_field, or set undated: train or quarantine; "
            f"they are in {quarantine}"
        )


def check_malformed(source: SourceConfig, counts: Counts, config: DataConfig, quarantine: Path) -> None:
    """Raise DataError when more of a source's records are malformed than the configuration allows."""
    if counts.malformed > config.maximum_bad_fraction * counts.read:
        raise DataError(
            f"source '{source.name}': {counts.malformed:,} of {counts.read:,} records are malformed, above "
            f"data.maximum_bad_fraction {config.maximum_bad_fraction:g}: {_reasons(counts.quarantined)}; the first are "
            f"{'; '.join(counts.offenders)}; all of them are in {quarantine}"
        )


def check_sum(source: SourceConfig, kept: Kept) -> None:
    """Read = kept + dropped + quarantined, and something is kept; DataError where nothing is."""
    counts = kept.counts
    assert counts.read == kept.documents + counts.dropped.total() + counts.quarantined.total(), "a record was lost"
    if not kept.documents:
        raise DataError(f"source '{source.name}': nothing is left of the records in {source.path}: {balance(kept)}")


def balance(kept: Kept) -> str:
    """What became of a source's records, in one line."""
    counts = kept.counts
    return (
        f"{counts.read:,} read, {kept.documents:,} kept, dropped {_reasons(counts.dropped)}, "
        f"quarantined {_reasons(counts.quarantined)}"
    )


def _reasons(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common() if count) or "none"


def check_splits(kept: Mapping[str, Kept], config: DataConfig) -> None:
    """There must be something to train on and, where a cutoff was asked for, something after it; else DataError."""
    splits = {split for result in kept.values() for split in result.splits}
    dates = [figures["last_date"] for result in kept.values() for figures in result.splits.values()]
    if "train" not in splits:
        raise DataError(
            f"no documents to train on: all are of data.cutoff {config.cutoff} or later, or held out by "
            f"data.past_fraction {config.past_fraction:g}; choose a later cutoff or a smaller fraction"
        )
    if config.cutoff and "future" not in splits:
        last = max(filter(None, dates), default="none, as no document has one")
        raise DataError(
            f"no documents of data.cutoff {config.cutoff} or later to hold out: the last date is {last}; choose an "
            "earlier cutoff or none"
        )


def corpus_report(
    config: DataConfig, seed: int, kept: Mapping[str, Kept], items: Items | None, forgotten: int
) -> dict[str, Any]:
    """The content of report.json.

    Args:
        kept: what became of each source.
        items: evaluation items that the training text was compared with, if it was.
        forgotten: tombstones that were in force.
    """
    whole = merged(result.counts for result in kept.values())
    touched = {item: {"documents": count, "first": whole.touched_first[item]} for item, count in whole.touched.items()}
    return {
        "seed": seed,
        "cutoff": config.cutoff.isoformat() if config.cutoff else None,
        "near_duplicates": config.near_duplicates.model_dump() if config.near_duplicates else None,
        "contamination": {
            "items": len(items.names),
            "too_short": items.too_short,
            "action": config.decontamination.action,
            "touched": touched,
        }
        if config.decontamination and items
        else None,
        "tombstones": forgotten,
        "sources": {source.name: _source(source, kept[source.name], config) for source in config.sources},
    }


def _source(source: SourceConfig, kept: Kept, config: DataConfig) -> dict[str, Any]:
    counts = kept.counts
    return {
        "path": without_secrets(source.path),
        "licence": source.licence,
        "language": source.language,
        "read": counts.read,
        "kept": {split: kept.splits[split] for split in SPLITS if split in kept.splits},
        "dropped": by_reason(counts.dropped),
        "quarantined": by_reason(counts.quarantined),
        "scrubbed": {kind: counts.scrubbed[kind] for kind in sorted(config.cleaning.scrub)},
        "removed_lines": counts.removed_lines,
        "licences": by_reason(kept.licences),
        "samples": counts.samples,
    }
