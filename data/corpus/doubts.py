"""What of a corpus a person should look at: what may not be meant, and what its figures do not say; a line each."""

import datetime
import itertools
import re
from calendar import monthrange
from collections import Counter
from collections.abc import Mapping
from typing import Any

from data.config import DataConfig
from data.corpus.counts import merged
from data.corpus.report import NO_SMALL_SHARE
from data.corpus.split import STRADDLES, dates_to_come
from data.corpus.write_kept import Kept
from data.readers.main_text import MOSTLY_AROUND
from data.sources.documents import PLAIN_AS_HTML

UNDECODED = 0.01  # share of a source's texts
LEAST_DATES = 100  # of as many, by chance, one is above the 12th but for a probability of (12 / 30.4) ** 100
LONELY = datetime.timedelta(days=731)  # from a day to the next one of all dates
LEAST_CUT = 10  # texts of the same, greatest length
MOST_OF_ONE_DAY = 0.5  # share of a source's dates
FIRSTS = [f"{month:02}-01" for month in range(1, 13)]
LASTS = ["02-29", *(f"{month:02}-{monthrange(2001, month)[1]}" for month in range(1, 13))]
NAMED = 5  # items in a message


def doubts(config: DataConfig, results: Mapping[str, Kept], contamination: dict[str, Any] | None) -> list[str]:
    """All of it, a line each."""
    found = {name: [split["last_date"] for split in kept.splits.values()] for name, kept in results.items()}
    last_dates = {name: max(dates) for name, of_splits in found.items() if (dates := [*filter(None, of_splits)])}
    return [
        *near_copies(config),
        *unused_leak_test(config),
        *undecoded(results),
        *doubtful(results),
        *swapped_dates(config, results),
        *zero_dates(config, results),
        *lonely_dates(config, results),
        *coarse_dates(config, results),
        *dates_to_come(last_dates, datetime.datetime.now(datetime.UTC).date()),
        *straddling(config, results),
        *partly_undated(config, results),
        *mostly_around(results),
        *plain_as_html(results),
        *removed_text(results),
        *unmatched_boilerplate(config, results),
        *short_items(config, contamination),
        *contamination_warnings(contamination),
    ]


def undecoded(kept: Mapping[str, Kept]) -> list[str]:
    """A line for each source of which no small share of the texts lost characters when they were decoded."""
    return [
        f"{name}: {result.counts.undecoded:,} of {result.counts.read:,} texts have replacement characters (U+FFFD), "
        "where a program that decoded them knew no better: decode the originals by the encoding that they have"
        for name, result in kept.items()
        if result.counts.undecoded > UNDECODED * result.counts.read
    ]


def doubtful(kept: Mapping[str, Kept]) -> list[str]:
    """A line for each thing that may not be meant in no small share of a source's texts, or in their lengths."""
    lines = []
    for name, result in kept.items():
        counts = result.counts
        encoded = ((f"are {what}: write what they stand for", number) for what, number in counts.encoded.items())
        lines += [
            f"{name}: {number:,} of {counts.read:,} texts {doubt}"
            for doubt, number in sorted(itertools.chain(counts.doubts.items(), encoded))
            if number > NO_SMALL_SHARE * counts.read
        ]
        if counts.longest_texts >= LEAST_CUT and counts.longest_texts > NO_SMALL_SHARE * counts.read:
            lines.append(
                f"{name}: {counts.longest_texts:,} of {counts.read:,} texts have {counts.longest:,} characters, and "
                "none has more: they may have been cut there: look at their ends"
            )
        elif counts.longest_quads_texts >= LEAST_CUT and counts.longest_quads_texts > NO_SMALL_SHARE * counts.read:
            most = 4 * counts.longest_quads
            lines.append(
                f"{name}: {counts.longest_quads_texts:,} of {counts.read:,} texts have {most - 3:,} to {most:,} bytes, "
                "and none has more: they may have been cut there: look at their ends"
            )
    return lines


def near_copies(config: DataConfig) -> list[str]:
    """A line where text is held out and near-duplicates of it are not looked for."""
    if config.near_duplicates or not (config.cutoff or config.past_fraction):
        return []
    return [
        "data.near_duplicates is null: near-copies of held-out text stay in the training text, which flatters what is "
        "measured on it"
    ]


def unused_leak_test(config: DataConfig) -> list[str]:
    """A line where documents of contradicted dates are to be set aside, and nothing says of which side."""
    if config.cutoff or config.leaks != "quarantine":
        return []
    return [
        "data.leaks is quarantine, but without a data.cutoff no document's date is compared with its words: set one"
    ]


def swapped_dates(config: DataConfig, kept: Mapping[str, Kept]) -> list[str]:
    """The sources whose date_format may take the month for the day, a line each: days differ, none is above 12."""
    lines = []
    for source in config.sources:
        dates = kept[source.name].counts.days
        days = {int(day.partition("-")[2]) for day in dates}
        written = next((form for form in source.date_forms if {"%d", "%m"} <= {*re.findall("%.", form)}), None)
        if written and dates.total() >= LEAST_DATES and len(days) > 1 and max(days) <= 12:
            lines.append(
                f"source '{source.name}': none of {dates.total():,} dates in '{written}' has a day above "
                f"12: it may be the month: look at some, and correct data.sources.{source.name}.date_format if so"
            )
    return lines


def zero_dates(config: DataConfig, kept: Mapping[str, Kept]) -> list[str]:
    """The sources of which no small share of the documents is of a day that may stand for no date, a line each."""
    return [
        f"source '{source.name}': {count:,} of {dates:,} dates are {day}, which programs also write where they know no "
        f"date: look at some, and set data.sources.{source.name}.earliest_date: a later day makes them malformed, an "
        "earlier one says that they are meant"
        for source in config.sources
        if source.earliest_date is None and (dates := kept[source.name].counts.days.total()) >= LEAST_DATES
        for day, count in sorted(kept[source.name].counts.zeros.items())
        if count > NO_SMALL_SHARE * dates
    ]


def lonely_dates(config: DataConfig, kept: Mapping[str, Kept]) -> list[str]:
    """The sources of which no small share of the dates is a day years before all others, a line each.

    Systems have days of their own for no date, such as 1940-01-01, which no list knows.
    """
    lines = []
    for source in config.sources:
        counts = kept[source.name].counts
        days = sorted(counts.earliest)
        for day, following in itertools.pairwise(days) if source.earliest_date is None else ():
            count, gap = counts.earliest[day], datetime.date.fromisoformat(following) - datetime.date.fromisoformat(day)
            if counts.days.total() >= LEAST_DATES and count > NO_SMALL_SHARE * counts.days.total() and gap > LONELY:
                lines.append(
                    f"source '{source.name}': {count:,} of {counts.days.total():,} dates are {day}, and none of the "
                    f"{gap.days // 365:,} years from then on: it may stand for no date: look at some, and set "
                    f"data.sources.{source.name}.earliest_date: a later day makes them malformed, an earlier one says "
                    "that they are meant"
                )
    return lines


def coarse_dates(config: DataConfig, kept: Mapping[str, Kept]) -> list[str]:
    """The sources most of whose days are of one day of the year, or the first or last of a month, if a cutoff is not.

    Such are years and months that were filled up to a day, ends of periods, and days on which data were exported.
    """
    lines = []
    if not config.cutoff:
        return []
    sides = {"the first of a month": FIRSTS, "the last of a month": LASTS}
    cutoff = f"{config.cutoff:%m-%d}"
    safe = [cutoff, *(side for side, of_side in sides.items() if cutoff in of_side)]
    for source in config.sources:
        dates = kept[source.name].counts.days
        by_side = Counter({side: sum(dates[day] for day in of_side) for side, of_side in sides.items()})
        commonest = dates.most_common(1) + by_side.most_common(1)
        for day, count in commonest if dates.total() >= LEAST_DATES else ():
            if count > MOST_OF_ONE_DAY * dates.total() and day not in safe:
                lines.append(
                    f"source '{source.name}': {count:,} of {dates.total():,} dates are {day}: if they are years or "
                    "months alone, ends of periods or days of an export, texts written after the cutoff are in the "
                    f"training text: set data.cutoff to such a day, or correct data.sources.{source.name}.date_field"
                )
                break
    return lines


def removed_text(kept: Mapping[str, Kept]) -> list[str]:
    """The sources that lost no small share of their characters with lines that were taken out, a line each."""
    return [
        f"{name}: {share:.0%} of the characters went with lines that data.cleaning.boilerplate_lines or the filter c4 "
        "took out of texts that were left: look whether these lines are meant"
        for name, result in kept.items()
        if (share := result.counts.line_characters / max(result.counts.characters, 1)) > NO_SMALL_SHARE
    ]


def unmatched_boilerplate(config: DataConfig, kept: Mapping[str, Kept]) -> list[str]:
    """The boilerplate expressions that no line of any source was matched by, a line each."""
    found = merged(result.counts for result in kept.values()).boilerplate
    return [
        f"data.cleaning.boilerplate_lines: '{expression}' matches no line of any document: it has to match a line as a "
        "whole, without the spaces at its end: mend it, or leave it out"
        for expression in config.cleaning.boilerplate_lines
        if not found[expression]
    ]


def straddling(config: DataConfig, kept: Mapping[str, Kept]) -> list[str]:
    """The sources that lose no small share of their documents to the cutoff, whose dates leave the side open."""
    return [
        f"source '{name}': the dates of {number:,} of {result.counts.read:,} records leave open on which side of "
        f"data.cutoff {config.cutoff} they are, so they are in no split: where most dates are years, a first of "
        "January loses least"
        for name, result in kept.items()
        if (number := result.counts.dropped[STRADDLES]) > NO_SMALL_SHARE * result.counts.read
    ]


def partly_undated(config: DataConfig, kept: Mapping[str, Kept]) -> list[str]:
    """The sources that train on undated documents beside dated ones under a cutoff, a line each."""
    return [
        f"source '{source.name}': {counts.undated:,} of {counts.read:,} records have no date and are trained on "
        f"(undated: train), though others have one: some may be of data.cutoff {config.cutoff} or later: look whether "
        "their dates stand in another field, or set undated: quarantine"
        for source in config.sources
        if config.cutoff and source.undated == "train" and (counts := kept[source.name].counts)
        if NO_SMALL_SHARE * counts.read < counts.undated < counts.read
    ]


def mostly_around(kept: Mapping[str, Kept]) -> list[str]:
    """The sources of which no small share of the pages are taken for menus and the like above all, a line each."""
    return [
        f"source '{name}': more than half of {number:,} of {result.counts.read:,} pages is left out, as menus, "
        f"comments and the like: look at some of them, and set `text: whole` for data.sources.{name} where it is text"
        for name, result in kept.items()
        if (number := result.counts.left_out[MOSTLY_AROUND]) > NO_SMALL_SHARE * result.counts.read
    ]


def plain_as_html(kept: Mapping[str, Kept]) -> list[str]:
    """The sources of which no small share of the texts is read as HTML and has no tag, a line each."""
    return [
        f"source '{name}': {number:,} of {result.counts.read:,} texts are read as HTML and have no tag: their lines "
        f"are joined, and what stands behind a `<` may be lost: leave data.sources.{name}.text_is out, or make a "
        "source of its own of them"
        for name, result in kept.items()
        if (number := result.counts.left_out[PLAIN_AS_HTML]) > NO_SMALL_SHARE * result.counts.read
    ]


def short_items(config: DataConfig, contamination: Mapping[str, Any] | None) -> list[str]:
    """A line where evaluation items are too short to be looked for."""
    if not config.decontamination or not contamination or not contamination["too_short"]:
        return []
    return [
        f"evaluation items: {contamination['too_short']:,} of {contamination['items']:,} items have fewer than "
        f"{config.decontamination.minimum_words} words and are not looked for (a run of Thai, Lao, Khmer or Burmese "
        "without a space is one word)"
    ]


def contamination_warnings(contamination: Mapping[str, Any] | None) -> list[str]:
    """What of `contamination_report` a person should look at, a line each."""
    if not contamination:
        return []
    removed = "removed" if contamination["action"] == "remove" else "left where they are"
    lines = [
        f"evaluation item {found['item']} shares words with {found['documents']:,} of {found['of']:,} training "
        f"documents of source {found['source']}: {found['contaminated']:,} of them {removed}"
        + (", the others share common phrases with it" if found["contaminated"] < found["documents"] else "")
        for found in contamination["widespread"]
    ]
    rest = len(lines) - NAMED
    lines = lines[:NAMED] + ([f"{rest:,} more evaluation items do so: see report.json"] if rest > 0 else [])
    if common := contamination["common"]:
        named = ", ".join(list(common)[:NAMED]) + (", and others in report.json" if len(common) > NAMED else "")
        lines.append(
            f"evaluation items of which only what more than {contamination['common_documents']:,} training documents "
            f"have was found, which counts as a common phrase: {len(common):,}: {named}; if they have leaked, raise "
            "data.decontamination.common_documents"
        )
    return lines
