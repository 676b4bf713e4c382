"""One contender of benchmarks/filters.py over one file of texts, in whichever environment has its package.

Prints {"seconds": CPU seconds of one pass after a warm-up, "kept": for each text whether it stays}.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

DATATROVE = {
    "gopher_quality": "GopherQualityFilter",
    "gopher_repetition": "GopherRepetitionFilter",
    "c4": "C4QualityFilter",
    "fineweb": "FineWebQualityFilter",
}
# Loads whatever a contender loads when it first needs it.
WARM_UP = "the Fedâ€™s card 4111 1111 1111 1111"


def ours(rules: str) -> Callable[[str], bool]:
    """Our filters on what one page has counted, each of them asked whatever the others say."""
    from data.cleaning import filters

    def c4(page: filters.Page) -> str | None:
        left = filters.remove_c4_lines(page.text)[0].strip()
        return filters.c4(filters.Page(left)) if left else "no lines"

    judges = {
        "gopher_quality": lambda page: filters.gopher_quality(page, english=True),
        "gopher_repetition": filters.gopher_repetition,
        "c4": c4,
        "fineweb": filters.fineweb,
    }

    def keep(text: str) -> bool:
        page = filters.Page(text)
        reasons = [judges[name](page) for name in rules.split("+")]
        return not any(reasons)

    return keep


def our_cleaner(options: str) -> Callable[[str], bool]:
    """The whole cleaner: `default`, or with every filter, scrubbing and a language."""
    from data.cleaning.clean import make_cleaner
    from data.config import CleaningConfig, DataConfig
    from data.source_config import SourceConfig

    source = SourceConfig(name="text", path="text.jsonl", language=None if options == "default" else "en")
    cleaning = CleaningConfig()
    if options == "everything":
        cleaning = CleaningConfig(
            filters=("gopher_quality", "gopher_repetition", "c4", "fineweb"),
            scrub=("email", "phone", "ip", "card", "iban"),
        )
    clean = make_cleaner(DataConfig(sources=(source,), cleaning=cleaning), source)
    return lambda text: clean(text).reason is None


def our_scrubber(kinds: str) -> Callable[[str], bool]:
    """Personal data of some kinds replaced."""
    from data.cleaning.personal import make_scrubber

    scrub = make_scrubber(kinds.split("+"))  # type: ignore[arg-type]
    return lambda text: not scrub(text)[1]


def datatrove(rules: str) -> Callable[[str], bool]:
    """datatrove's filters as they come, each of them asked whatever the others say."""
    from datatrove.data import Document
    from datatrove.pipeline import filters

    judges = [getattr(filters, DATATROVE[name])() for name in rules.split("+")]

    def keep(text: str) -> bool:
        decisions = [judge.filter(Document(text=text, id="")) is True for judge in judges]
        return all(decisions)

    return keep


def datatrove_on_our_words(rules: str) -> Callable[[str], bool]:
    """datatrove's filters with words between white space instead of spaCy's."""
    for module in ("gopher_quality_filter", "gopher_repetition_filter", "fineweb_quality_filter"):
        loaded = importlib.import_module(f"datatrove.pipeline.filters.{module}")
        loaded.split_into_words = lambda text, language: text.split()  # type: ignore[attr-defined]
    return datatrove(rules)


def datatrove_personal(kinds: str) -> Callable[[str], bool]:
    """datatrove's replacement of e-mail and IP addresses."""
    from datatrove.pipeline.formatters.pii import PIIFormatter

    formatter = PIIFormatter(remove_emails="email" in kinds, remove_ips="ip" in kinds)
    return lambda text: formatter.format(text) == text


def dolma(rules: str) -> Callable[[str], bool]:
    """dolma's taggers, which measure and leave the decision to a later stage."""
    module = importlib.import_module(f"dolma.taggers.{rules}")
    return lambda text: module.get_attributes(text) is not None


def ftfy(_: str) -> Callable[[str], bool]:
    """ftfy alone, as datatrove's FTFYFormatter calls it."""
    from ftfy import fix_text

    return lambda text: fix_text(text) == text


def main() -> None:
    name, option, file = sys.argv[1:]
    keep = globals()[name](option)
    texts = [json.loads(line) for line in Path(file).read_text("utf-8").splitlines()]
    keep(f"{texts[0]} {WARM_UP}")
    begin = time.process_time()
    kept = [keep(text) for text in texts]
    print("\n" + json.dumps({"seconds": time.process_time() - begin, "kept": kept}))


if __name__ == "__main__":
    main()
