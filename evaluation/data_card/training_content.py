"""Summary of the training text in the order of the EU's template for providers of general-purpose models, to finish.

The template is the annex of the Commission's communication C(2025) 8311 on Article 53(1)(d) of Regulation (EU)
2024/1689. Filled in is what the data card knows; what it does not know stands there as a gap. It claims nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.compute as pc

from data.corpus.files import corpus_batches, corpus_files
from data.files import write_atomically
from data.source_config import SourceConfig
from evaluation.pages.html import templates
from evaluation.pages.wording import text_size

PAGE = "training_content.md"
SECTIONS = {
    "public": "2.1 Publicly available datasets",
    "licensed": "2.2.1 Private datasets licensed by rightsholders or their representatives",
    "third_party": "2.2.2 Private datasets obtained from other third parties",
    "crawled": "2.3 Data crawled and scraped from online sources",
    "users": "2.4 User data",
    "synthetic": "2.5 Synthetic data",
    "own": "2.6 Other sources",
}
"""Origin of a source → where the template asks for it."""
MOST_DOMAINS = 1_000
"""That are listed: the template asks for the top tenth by size, of small and medium providers for the top twentieth or
1,000, whichever is less."""


def write_training_content(
    card: Mapping[str, Any], corpus: Path, sources: Sequence[SourceConfig], base: str | None, folder: Path
) -> Path:
    """Write training_content.md into `folder` and return it.

    Args:
        card: the content of data_card.json.
        corpus: where the addresses of crawled sources are counted.
        sources: those of the configuration.
        base: the model that training began from, whose own text is not in the corpus; None for none.
    """
    trained = {name: found for name, found in card["sources"].items() if "train" in found["kept"]}
    configured = {source.name: source for source in sources}
    origins = {name: configured[name].origin if name in configured else "synthetic" for name in trained}  # canaries
    tokens = Counter({name: found["kept"]["train"]["tokens"] for name, found in trained.items()})
    languages: Counter[str] = Counter()
    for name, found in trained.items():
        languages[found["language"] or "not stated"] += tokens[name]
    dates = [found["kept"]["train"]["last_date"] for found in trained.values()]
    scrubbed: Counter[str] = Counter()
    for found in trained.values():
        scrubbed.update(found["scrubbed"])
    page = folder / PAGE
    text = (
        templates()
        .get_template(f"{PAGE}.j2")
        .render(
            name=card["name"],
            digest=card["digests"]["shards"],
            base=base,
            tokens=tokens.total(),
            size=text_size(sum(found["kept"]["train"]["bytes"] for found in trained.values())),
            documents=sum(found["kept"]["train"]["documents"] for found in trained.values()),
            newest=max(filter(None, dates), default=None),
            cutoff=card["cutoff"],
            undated=[name for name, found in trained.items() if found["undated"]],
            languages=[
                (language, count, count / max(tokens.total(), 1)) for language, count in languages.most_common()
            ],
            sections=[
                (heading, [_facts(name, trained[name], configured) for name in trained if origins[name] == origin])
                for origin, heading in SECTIONS.items()
            ],
            unplaced=[_facts(name, trained[name], configured) for name in trained if origins[name] is None],
            domains={
                name: domains for name in trained if origins[name] == "crawled" and (domains := _domains(corpus, name))
            },
            scrubbed=sorted(scrubbed.items()),
            tombstones=card["tombstones"],
            near=card["near_duplicates"],
            dropped=_dropped(trained),
        )
    )
    write_atomically(page, text)
    return page


def _facts(name: str, found: Mapping[str, Any], configured: Mapping[str, SourceConfig]) -> dict[str, Any]:
    kept = found["kept"]["train"]
    source = configured.get(name)
    return {
        "name": name,
        "description": source.description if source else "canaries, planted to measure what a model memorises",
        "path": found["path"],
        "documents": kept["documents"],
        "tokens": kept["tokens"],
        "size": text_size(kept["bytes"]),
        "dates": f"{kept['first_date'] or 'an unknown day'} to {kept['last_date']}" if kept["last_date"] else None,
        "language": found["language"],
        "licences": sorted(found["licences"].items(), key=lambda entry: (-entry[1], entry[0])),
    }


def _domains(corpus: Path, source: str) -> dict[str, Any] | None:
    """Hosts of the training documents' addresses by bytes of text, the largest first; None where none has one."""
    sizes: Counter[str] = Counter()
    for batch in corpus_batches(corpus_files(corpus, "train").get(source, []), ["url", "text"]):
        lengths = pc.binary_length(batch["text"]).to_pylist()
        for url, size in zip(batch["url"].to_pylist(), lengths, strict=True):
            sizes[_host(url)] += size
    unknown = sizes.pop("", 0)
    if not sizes:
        return None
    shown = min(MOST_DOMAINS, max(1, round(len(sizes) / 10)))
    largest = sorted(sizes.items(), key=lambda entry: (-entry[1], entry[0]))[:shown]
    total = sizes.total() + unknown
    return {
        "hosts": len(sizes),
        "shown": [(host, text_size(size), size / total) for host, size in largest],
        "unknown": unknown / total,
    }


def _host(url: str | None) -> str:
    try:
        return (urlsplit(url or "").hostname or "").removeprefix("www.")
    except ValueError:  # such as half of an IPv6 address
        return ""


def _dropped(trained: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Documents that were left out, by reason, all sources together."""
    reasons: Counter[str] = Counter()
    for found in trained.values():
        reasons.update(found["dropped"])
    return reasons.most_common()
