"""A data card's tables of what was looked for in the training text: evaluation items, and words ahead of their time."""

from collections.abc import Mapping

from evaluation.data_card.corpus_report import Contamination, CorpusReport
from evaluation.data_card.tables import DOCUMENTS_SHOWN, MOST_ROWS, fact
from evaluation.pages.figures import figure
from evaluation.pages.html import Row, Table


def contamination_table(contamination: Contamination | None) -> Table:
    """Evaluation items that training documents share words with, those with the most documents first."""
    touched = contamination.touched if contamination else {}
    ordered = sorted(touched.items(), key=lambda entry: (-entry[1].documents, entry[0]))
    rows = []
    for item, found in ordered[:MOST_ROWS]:
        named = ", ".join(found.first[:DOCUMENTS_SHOWN])
        more = found.documents - min(DOCUMENTS_SHOWN, len(found.first))
        count = figure(found.documents, ",d", fact("contamination", "touched", item, "documents"))
        rows.append(Row(item, 0, [count, f"{named} and {more:,} more" if more > 0 else named]))
    if len(ordered) > MOST_ROWS:
        rows.append(_others("touched", {item: found.documents for item, found in ordered[MOST_ROWS:]}))
    return Table(["documents", "which"], rows)


def common_table(contamination: Contamination | None) -> Table:
    """Evaluation items of which training documents have common phrases alone, those with the most documents first."""
    common = contamination.common if contamination else {}
    ordered = sorted(common.items(), key=lambda entry: (-entry[1].documents, entry[0]))
    rows = []
    for item, found in ordered[:MOST_ROWS]:
        values = {"documents": found.documents, "ngrams": found.ngrams, "of": found.of}
        cells = [figure(value, ",d", fact("contamination", "common", item, key)) for key, value in values.items()]
        rows.append(Row(item, 0, cells))
    if len(ordered) > MOST_ROWS:
        others = _others("common", {item: found.documents for item, found in ordered[MOST_ROWS:]})
        rows.append(others._replace(cells=[*others.cells, "–"]))
    return Table(["documents", "n-grams that are common", "of all its"], rows)


def left_out_table(report: CorpusReport) -> Table:
    """Parts of publishers' files that are no records, or left out of these, by source and kind, the most first."""
    rows = []
    for name, source in report.sources.items():
        if source.left_out:
            rows.append(Row(name, 0, []))
        for kind, number in sorted(source.left_out.items(), key=lambda entry: (-entry[1], entry[0])):
            rows.append(Row(kind, 1, [figure(number, ",d", fact("sources", name, "left_out", kind))]))
    return Table(["number"], rows)


def leaks_table(report: CorpusReport) -> Table:
    """By source, the dated training documents that use words which came up years later, and the clearest of them."""
    rows = []
    for name, found in report.leaks.sources.items() if report.leaks else ():
        counts = [
            figure(value, ",d", fact("leaks", "sources", name, key))
            for key, value in (("judged", found.judged), ("suspected", found.suspected))
        ]
        shown = [
            f"{sample.id}: {', '.join(f'{word} (not before {day})' for word, day in sample.absent_until.items())}"
            for sample in found.samples
        ]
        rows.append(Row(name, 0, [*counts, "\n".join(shown)]))
    return Table(["dated", "suspected", "the clearest"], rows)


def _others(key: str, documents: Mapping[str, int]) -> Row:
    """All items that a table of contamination has no room for, as one row."""
    origins = [fact("contamination", key, item, "documents") for item in documents]
    return Row(f"{len(documents):,} other items", 0, [figure(sum(documents.values()), ",d", *origins), "–"])
