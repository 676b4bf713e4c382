"""The account of a corpus: what must hold of its sources before it is used, and report.json."""

import itertools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.addresses import without_secrets
from data.config import DataConfig, DecontaminationConfig, NearDuplicateConfig
from data.corpus.canaries import SOURCE as PLANTED
from data.corpus.counts import Counts, by_reason, merged
from data.corpus.decontaminate import Items
from data.corpus.deduplicate import DROP_REASONS, Fate
from data.corpus.near_duplicates import share_found
from data.corpus.shingles import Hashes
from data.corpus.split import EARLIER, SPLITS, STRADDLES
from data.corpus.write_kept import Kept
from data.errors import DataError
from data.source_config import SourceConfig
from data.sources.documents import named_fields


def check_fields(source: SourceConfig, counts: Counts) -> None:
    """Every field that the configuration names must have a value in some document; DataError where none has."""
    documents = counts.read - counts.malformed
    for setting, name in named_fields(source).items():
        if documents and not counts.met[setting]:
            raise DataError(
                f"source '{source.name}': none of {documents:,} documents has a value in the field '{name}': correct "
                f"data.sources.{source.name}.{setting}, or leave it out"
            )


WIDESPREAD = 0.01  # share of a source's training documents that an evaluation item touches
NO_SMALL_SHARE = 0.01  # of a source's characters, for one reason


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
    if counts.bad_fraction > config.maximum_bad_fraction:
        raise DataError(
            f"source '{source.name}': {counts.malformed:,} of {counts.read:,} records are malformed"
            f"{_weight(counts)}{_lost(counts)}, above data.maximum_bad_fraction {config.maximum_bad_fraction:g}: "
            f"{_reasons(counts.quarantined)}; the first are {'; '.join(counts.offenders)}; all of them are in "
            f"{quarantine}"
        )


def _weight(counts: Counts) -> str:
    """What malformed records amount to, where they are few but long."""
    share = counts.malformed_share
    return f" with {share:.1%} of the bytes" if share > counts.malformed / max(counts.read, 1) else ""


def _lost(counts: Counts) -> str:
    if not counts.lost:
        return ""
    files = ", ".join(itertools.islice(counts.lost, 3)) + (" and others" if len(counts.lost) > 3 else "")
    return (
        f", with files that are damaged or have no readable record ({files}: {counts.lost.total():,} of "
        f"{counts.bytes:,} bytes)"
    )


def check_left(source: SourceConfig, counts: Counts) -> None:
    """Something must be left of a source when its texts are cleaned; DataError where nothing is."""
    if counts.read == counts.dropped.total() + counts.quarantined.total():
        raise _nothing_left(source, Kept(counts=counts))


def _nothing_left(source: SourceConfig, kept: Kept) -> DataError:
    empty = "; ".join(["", *empty_files(kept)])
    return DataError(
        f"source '{source.name}': nothing is left of the records in {source.path}: {balance(kept)}{empty}: correct "
        f"data.sources.{source.name}, or leave it out"
    )


def check_sum(source: SourceConfig, kept: Kept) -> None:
    """Read = kept + dropped (what straddles the cutoff too) + quarantined; DataError where nothing is kept."""
    counts = kept.counts
    assert counts.read == kept.documents + counts.dropped.total() + counts.quarantined.total(), "a record was lost"
    if not kept.documents:
        raise _nothing_left(source, kept)


def balance(kept: Kept) -> str:
    """What became of a source's records, in one line."""
    counts = kept.counts
    left_out = f"; left out of the files: {_reasons(counts.left_out)}" if counts.left_out else ""
    undated = f"{counts.undated:,} of them without a date, " if counts.undated else ""
    return (
        f"{counts.read:,} read, {undated}{kept.documents:,} kept, dropped {_dropped(kept)}, "
        f"quarantined {_reasons(counts.quarantined)}{left_out}"
    )


def empty_files(kept: Kept) -> list[str]:
    """A line about the files of a source that have no text at all; none where there are none."""
    counts = kept.counts
    if not counts.empty_files:
        return []
    more = " and others" if counts.empty_files > len(counts.empty_first) else ""
    return [f"files without any text: {counts.empty_files:,} ({', '.join(counts.empty_first)}{more})"]


def _dropped(kept: Kept) -> str:
    """Documents dropped, by reason, with their share of all characters where that is no small one."""
    counts = kept.counts
    left = sum(split["characters"] for split in kept.splits.values())
    whole = left + counts.dropped_characters.total()
    shares = {why: found / whole for why, found in counts.dropped_characters.items() if left}
    said = (
        f"{count:,} {why}" + (f" ({shares[why]:.0%} of the characters)" if shares.get(why, 0) > NO_SMALL_SHARE else "")
        for why, count in counts.dropped.most_common()
        if count
    )
    return ", ".join(said) or "none"


def _reasons(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common() if count) or "none"


def check_splits(kept: Mapping[str, Kept], config: DataConfig) -> None:
    """There must be something to train on and, where a cutoff was asked for, something after it; else DataError."""
    splits = {split for result in kept.values() for split in result.splits}
    dates = [figures["last_date"] for result in kept.values() for figures in result.splits.values()]
    if "train" not in splits:
        earlier = sum(result.counts.dropped[EARLIER] for result in kept.values())
        since = f" Before data.since {config.since}, and so left out, are {earlier:,}: choose an earlier day"
        raise DataError(
            f"no documents to train on: all are of data.cutoff {config.cutoff} or later{_or_straddle(kept)}, or held "
            f"out by data.past_fraction {config.past_fraction:g}; choose a later cutoff or a smaller fraction"
            + (f".{since}" if earlier else "")
        )
    if config.cutoff and "future" not in splits:
        last = max(filter(None, dates), default="none, as no document has one")
        raise DataError(
            f"no documents of data.cutoff {config.cutoff} or later{_or_straddle(kept, 'but')} to hold out: the last "
            f"date is {last}; choose an earlier cutoff or none"
        )


def _or_straddle(kept: Mapping[str, Kept], word: str = "or") -> str:
    number = sum(result.counts.dropped[STRADDLES] for result in kept.values())
    return f" ({word} straddle it: {number:,})" if number else ""


def corpus_report(
    config: DataConfig, seed: int, kept: Mapping[str, Kept], contamination: dict[str, Any] | None, forgotten: int
) -> dict[str, Any]:
    """The content of report.json.

    Args:
        kept: what became of each source.
        contamination: what `contamination_report` says, if the training text was compared with evaluation items.
        forgotten: tombstones that were in force.
    """
    sources = [*config.sources, PLANTED] if config.canaries else config.sources
    return {
        "seed": seed,
        "cutoff": config.cutoff.isoformat() if config.cutoff else None,
        "near_duplicates": _near_duplicates(config.near_duplicates) if config.near_duplicates else None,
        "contamination": contamination,
        "tombstones": forgotten,
        "canaries": config.canaries.model_dump(mode="json", exclude={"weight"}) if config.canaries else None,
        "sources": {source.name: _source(source, kept[source.name], config) for source in sources},
    }


def _near_duplicates(near: NearDuplicateConfig) -> dict[str, Any]:
    """The settings, and by similarity the share of such pairs that is found."""
    found = {f"{percent / 100:g}": round(share_found(percent / 100, near), 4) for percent in range(5, 101, 5)}
    return {**near.model_dump(), "found": found}


def contamination_report(
    settings: DecontaminationConfig, items: Items, common: Hashes, kept: Mapping[str, Kept]
) -> dict[str, Any]:
    """What report.json says of evaluation items.

    `touched`: by item the training documents that share words with it. `common`: by each other item the training
    documents that share common phrases with it and nothing else, and how many of its n-grams such phrases are.
    `widespread`: items that share words of either kind with more than WIDESPREAD of a source's training documents.
    """
    whole = merged(result.counts for result in kept.values())
    shares = items.shares(common)
    widespread = []
    for source, result in kept.items():
        removed = result.counts.dropped[DROP_REASONS[Fate.CONTAMINATED]]
        documents = result.splits.get("train", {}).get("documents", 0) + removed
        for item, count in sorted((result.counts.touched + result.counts.common).items()):
            if count > WIDESPREAD * documents:
                contaminated = result.counts.touched[item]
                found = {"documents": count, "contaminated": contaminated, "of": documents}
                widespread.append({"item": item, "source": source, **found})
    return {
        "items": len(items.names),
        "too_short": items.too_short,
        "action": settings.action,
        "common_documents": settings.common_documents,
        "touched": {
            item: {"documents": count, "first": whole.touched_first[item]} for item, count in whole.touched.items()
        },
        "common": {
            item: {"documents": count, "ngrams": shares[item][0], "of": shares[item][1]}
            for item, count in sorted(whole.common.items())
            if item not in whole.touched
        },
        "widespread": widespread,
    }


def _source(source: SourceConfig, kept: Kept, config: DataConfig) -> dict[str, Any]:
    counts = kept.counts
    return {
        "path": without_secrets(source.path),
        "licence": source.licence,
        "language": source.language,
        "read": counts.read,
        "undated": counts.undated,
        "kept": {split: kept.splits[split] for split in SPLITS if split in kept.splits},
        "dropped": by_reason(counts.dropped),
        "dropped_characters": by_reason(counts.dropped_characters),
        "quarantined": by_reason(counts.quarantined),
        "left_out": by_reason(counts.left_out),
        "malformed_bytes": counts.malformed_bytes,
        "undecoded": counts.undecoded,
        "encoded": by_reason(counts.encoded),
        "lost_files": by_reason(counts.lost),
        "empty_files": {"files": counts.empty_files, "first": counts.empty_first},
        "boilerplate_lines": {line: counts.boilerplate[line] for line in config.cleaning.boilerplate_lines},
        "scrubbed": {kind: counts.scrubbed[kind] for kind in sorted(config.cleaning.scrub)},
        "removed_lines": counts.removed_lines,
        "altered": by_reason(counts.altered),
        "licences": by_reason(kept.licences),
        "precisions": by_reason(kept.precisions),
        "date_kinds": by_reason(kept.date_kinds),
        "samples": counts.samples,
    }
