"""The data card of a corpus, one page and one JSON file: what is in it, what was left out, and that the sums agree."""

import datetime
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.corpus.split import STRADDLES
from data.errors import DataError
from data.files import file_digest, stage_digest, write_atomically
from data.interval import PRECISIONS
from data.shards.format import Manifest, SourceShards, read_manifest
from data.tokenizer.build import TOKENIZER
from evaluation.data_card import findings, tables
from evaluation.data_card.corpus_report import CorpusReport, KeptDocuments, read_corpus_report
from evaluation.data_card.document_counts import (
    Counts,
    DocumentCounts,
    SplitCounts,
    count_documents,
    totals_by_split,
)
from evaluation.data_card.plots import data_plots
from evaluation.data_card.tables import SEVERAL, UNDATED
from evaluation.pages.html import write_page

PAGE = "data_card.html"
FORMAT = 1
PREPARE_AGAIN = "run `domainlm prepare CONFIG` and `domainlm tokenize CONFIG` again"
NONE_COUNTED = DocumentCounts({}, {}, None, None)
NOTHING = KeptDocuments(documents=0, characters=0, bytes=0, first_date=None, last_date=None)


@dataclass(frozen=True)
class DataCard:
    """Everything that the card is made of; it exists only when all of it agrees."""

    name: str
    report: CorpusReport
    manifest: Manifest
    counts: SplitCounts
    """From the shards' tables of documents."""
    checks: list[str]
    """What was compared, a sentence each."""


def write_data_card(
    corpus: Path, tokenizer: Path, shards: Path, folder: Path, name: str, domain: Collection[str]
) -> Path:
    """Write data_card.html and data_card.json into `folder` and return the page; `domain` names the domain's sources.

    The JSON file is the corpus's report.json, each source's `kept` split having also `tokens`, `years` and `lengths`
    (a year, "several" or "undated", or n for 2ⁿ tokens and more → documents, tokens, bytes), with `digests`, `totals`
    and `checks`.

    Raises:
        DataError: the folders are unfinished, were not made from one another, or a sum in one is not that of another.
    """
    card = gather_data_card(corpus, tokenizer, shards, name, domain)
    write_atomically(folder / tables.FACTS, json.dumps(to_json(card), indent=1, ensure_ascii=False))
    report, counts = card.report, card.counts
    return write_page(
        folder / PAGE,
        name,
        {tables.FACTS: "domainlm tokenize CONFIG"},
        {"plots": data_plots(report, counts)},
        card=card,
        summary=tables.summary(report, counts),
        key_figures=tables.key_figures(report, counts),
        sources=tables.source_tables(report, counts),
        splits=tables.split_table(report, counts),
        fates=tables.fates_tables(report),
        dropped=tables.dropped_tables(report),
        lost_files=tables.lost_files_table(report),
        licences=tables.licence_tables(report),
        languages=tables.language_table(report),
        duplicates=tables.duplicates_found(report),
        empty_files=tables.empty_files_table(report),
        removals=tables.removal_tables(report),
        boilerplate=tables.boilerplate_tables(report),
        removals_of=tables.removals_of(report),
        left_out=findings.left_out_table(report),
        leaks=findings.leaks_table(report),
        contamination=findings.contamination_table(report.contamination),
        common=findings.common_table(report.contamination),
        precisions=tables.precision_tables(report),
        years=tables.year_tables(report, counts),
        samples=tables.sample_tables(report),
    )


def gather_data_card(corpus: Path, tokenizer: Path, shards: Path, name: str, domain: Collection[str]) -> DataCard:
    """Read all three folders and compare them; raises DataError as `write_data_card` does."""
    report, manifest = read_corpus_report(corpus).with_domain(domain), read_manifest(shards)
    made_from = {
        corpus: (manifest.corpus_digest, stage_digest(corpus)),
        tokenizer: (manifest.tokenizer_digest, file_digest(tokenizer / TOKENIZER)),
    }
    for origin, (noted, found) in made_from.items():
        if noted != found:
            raise DataError(f"{shards} was not made from {origin} as it is now: run `domainlm tokenize CONFIG` again")
    counts = {
        split: {
            source: count_documents(shards / file.documents_path for file in files.files)
            for source, files in sources.items()
        }
        for split, sources in manifest.splits.items()
    }
    checks = [
        _check_records(report),
        _check_sums(report, manifest, counts),
        *_check_dates(report, counts),
        f"The shards were made from this corpus (digest {manifest.corpus_digest}) and this tokenizer (digest "
        f"{manifest.tokenizer_digest}); their own digest is {manifest.digest}.",
    ]
    return DataCard(name, report, manifest, counts, checks)


def to_json(card: DataCard) -> dict[str, Any]:
    """The content of data_card.json."""
    report = card.report.model_dump(mode="json")
    for split, sources in card.counts.items():
        for source, counts in sources.items():
            if counts.total.documents:
                report["sources"][source]["kept"][split] |= {
                    "tokens": counts.total.tokens,
                    "years": _years(counts),
                    "lengths": {str(length): found._asdict() for length, found in counts.lengths.items()},
                }
    totals = Counts.total(totals_by_split(card.counts).values())
    manifest = card.manifest
    digests = {"corpus": manifest.corpus_digest, "tokenizer": manifest.tokenizer_digest, "shards": manifest.digest}
    return {
        "format": FORMAT,
        "name": card.name,
        "digests": digests,
        "vocabulary_size": manifest.vocabulary_size,
        "totals": {"read": sum(source.read for source in card.report.sources.values()), **totals._asdict()},
        "checks": card.checks,
        **report,
    }


def _years(counts: DocumentCounts) -> dict[str, dict[str, int]]:
    """By year, and of what is of no single one."""
    named = {str(year): found for year, found in counts.years.items()}
    named |= {SEVERAL: counts.several, UNDATED: counts.undated}
    return {name: found._asdict() for name, found in named.items() if found.documents}


def _check_records(report: CorpusReport) -> str:
    """The sentence for what reading the report has checked."""
    sources = report.sources.values()
    read, kept = sum(source.read for source in sources), sum(source.documents for source in sources)
    dropped = sum(sum(source.dropped.values()) for source in sources)
    quarantined = sum(sum(source.quarantined.values()) for source in sources)
    return (
        f"Every record is accounted for, in each source: {read:,} read = {kept:,} kept + {dropped:,} dropped + "
        f"{quarantined:,} quarantined; and every document kept is counted under one licence or as unknown."
    )


def _check_sums(report: CorpusReport, manifest: Manifest, counts: SplitCounts) -> str:
    """Compare each source of each split in the report, the manifest and the tables of documents."""
    splits = {split for source in report.sources.values() for split in source.kept} | manifest.splits.keys()
    sources = report.sources.keys() | {source for shards in manifest.splits.values() for source in shards}
    for split in sorted(splits):
        for source in sorted(sources):
            kept = report.sources[source].kept.get(split, NOTHING) if source in report.sources else NOTHING
            shards = manifest.splits.get(split, {}).get(source, SourceShards(()))
            counted = counts.get(split, {}).get(source, NONE_COUNTED)
            place = f"{split}/{source}"
            total = counted.total
            _agree(place, "documents", corpus=kept.documents, manifest=shards.documents, tables=total.documents)
            _agree(place, "bytes of text", corpus=kept.bytes, manifest=shards.bytes, tables=total.bytes)
            _agree(place, "tokens", manifest=shards.tokens, tables=total.tokens)
            _agree(place, "first date", corpus=kept.first_date, tables=counted.first_date)
            _agree(place, "last date", corpus=kept.last_date, tables=counted.last_date)
    for name, of_source in report.sources.items():
        _check_precisions(name, of_source.precisions, [found[name] for found in counts.values() if name in found])
    total = Counts.total(totals_by_split(counts).values())
    return (
        "The shards hold exactly the corpus: in each split, source by source, the corpus's report, the manifest "
        "and a count of the shards' tables of documents agree in documents "
        f"({total.documents:,} in all), bytes of text ({total.bytes:,}) and dates, and the latter two in tokens "
        f"({total.tokens:,})."
    )


def _check_precisions(source: str, said: Mapping[str, int], counted: Sequence[DocumentCounts]) -> None:
    """Compare a source's documents by the precision of their dates; older corpora do not say it."""
    for precision in PRECISIONS if said else ():
        tables = sum(found.precisions.get(precision, 0) for found in counted)
        _agree(source, f"dates of precision {precision}", corpus=said.get(precision, 0), tables=tables)


def _agree(place: str, what: str, **found: int | datetime.date | None) -> None:
    names = {"corpus": "the corpus's report", "manifest": "the shards' manifest", "tables": "their documents' tables"}
    if len(set(found.values())) > 1:
        said = ", ".join(
            f"{names[where]} says {value:,}" if isinstance(value, int) else f"{names[where]} says {value}"
            for where, value in found.items()
        )
        raise DataError(f"{place}: {what} do not agree: {said}: {PREPARE_AGAIN}")


def _check_dates(report: CorpusReport, counts: SplitCounts) -> list[str]:
    """Nothing of the cutoff or later is trained on, nothing before it is measured as later text."""
    if report.cutoff is None:
        return []
    dated = undated = 0
    for split, sources in counts.items():
        for source, found in sources.items():
            bound = found.first_date if split == "future" else found.last_date
            if split == "future" and found.precisions.get("open"):
                raise DataError(
                    f"{split}/{source} has a document that may be of any day up to its last, before the cutoff "
                    f"{report.cutoff} too: {PREPARE_AGAIN}"
                )
            if bound is not None and (bound >= report.cutoff) != (split == "future"):
                raise DataError(
                    f"{split}/{source} has a document dated {bound}, on the wrong side of the cutoff {report.cutoff}: "
                    f"{PREPARE_AGAIN}"
                )
            if split == "train":
                undated += found.undated.documents
                dated += found.total.documents - found.undated.documents
    straddling = sum(source.dropped.get(STRADDLES, 0) for source in report.sources.values())
    return [
        f"None of the {dated:,} dated training documents may be of the cutoff {report.cutoff} or later"
        + (f"; {undated:,} training documents have no date, so their time is not known" if undated else "")
        + (f"; {straddling:,} documents that may be of either side of it are in no split." if straddling else ".")
    ]
