"""The model card of an exported model: README.md with what was read, how it was trained, and what it measures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from evaluation.pages.html import TEMPLATES
from evaluation.pages.wording import number_in_words, share, text_size

TEMPLATE = "model_card.md.j2"
ORDINARY_EVENTS = {"start", "resume", "save", "done", "stop", "stragglers", "spike not examined"}
MOST_EVENTS = 20


@dataclass(frozen=True)
class CardFacts:
    """What the card says of the model and of the run that made it.

    Attributes:
        class_name: of transformers.
        tokens: read in training up to `step`.
        config: the resolved configuration of the run.
        data_digest: of the data and their order.
        environment: versions, device and ranks of the process that trained last; None where it is not known.
        events: of the run's journal, in order.
        data: contents of data_card.json; None where the shards were given.
        evaluation: contents of evaluate.json; None where there was none.
    """

    class_name: str
    parameters: int
    dtype: str
    end_of_text: str
    step: int
    tokens: int
    config: Mapping[str, Any]
    data_digest: str
    environment: Mapping[str, Any] | None
    events: Sequence[Mapping[str, Any]]
    data: Mapping[str, Any] | None
    evaluation: Mapping[str, Any] | None


def model_card(facts: CardFacts) -> str:
    """The card in Markdown, with the header that the Hugging Face hub reads."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["cell"] = _cell
    licences = _licences(facts.data)
    return environment.get_template(TEMPLATE).render(
        facts=facts,
        header=yaml.safe_dump(_header(facts), sort_keys=False, allow_unicode=True).rstrip(),
        parameters=number_in_words(facts.parameters),
        tokens=number_in_words(facts.tokens),
        domain=[name for name, source in _sources(facts.data).items() if source["domain"]],
        last_date=_last_date(facts.data),
        undated=any(not source["kept"].get("train", {}).get("last_date") for source in _sources(facts.data).values()),
        sources=_source_rows(facts.data),
        licences=[(name, count, share(count, licences.total())) for name, count in licences.most_common()],
        results=_results(facts.evaluation),
        better=_better_baselines(facts.evaluation),
        lineage=_lineage(facts),
        events=[_event(event) for event in facts.events if event["event"] not in ORDINARY_EVENTS][:MOST_EVENTS],
        model_yaml=yaml.safe_dump(dict(facts.config["model"]), sort_keys=False).rstrip(),
    )


def _header(facts: CardFacts) -> dict[str, Any]:
    languages = sorted({source["language"] for source in _sources(facts.data).values() if source["language"]})
    return {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "license": "other",
        "license_name": "see-the-licences-of-the-training-text",
        **({"language": languages} if languages else {}),
        "tags": ["domainlm", "pretrained"],
    }


def _sources(data: Mapping[str, Any] | None) -> Mapping[str, Any]:
    sources: Mapping[str, Any] = data["sources"] if data else {}
    return sources


def _licences(data: Mapping[str, Any] | None) -> Counter[str]:
    counts: Counter[str] = Counter()
    for source in _sources(data).values():
        counts.update(source["licences"])
    return counts


def _last_date(data: Mapping[str, Any] | None) -> str | None:
    """The date of the newest training document that has one."""
    dates = [source["kept"].get("train", {}).get("last_date") for source in _sources(data).values()]
    return max((date for date in dates if date), default=None)


def _source_rows(data: Mapping[str, Any] | None) -> list[list[str]]:
    rows = []
    for name, source in _sources(data).items():
        if kept := source["kept"].get("train"):
            first, last = kept["first_date"], kept["last_date"]
            dates = f"{first} to {last}" if first else "undated"
            counts = [f"{kept[key]:,}" for key in ("documents", "tokens")]
            rows.append([name, *counts, text_size(kept["bytes"]), dates, ", ".join(source["licences"])])
    return rows


def _results(evaluation: Mapping[str, Any] | None) -> dict[str, list[Any]]:
    """Columns, and a row of bits per byte for each source and split."""
    if not evaluation:
        return {"columns": [], "rows": []}
    baselines = evaluation.get("baselines", {})
    rows = []
    for source, splits in evaluation["sources"].items():
        for split, figures in splits.items():
            others = [found.get(source, {}).get(split) for found in baselines.values()]
            values = [figures["bits_per_byte"], *others]
            rows.append([source, split, *("" if value is None else f"{value:.3f}" for value in values)])
    return {"columns": ["source", "split", "model", *baselines], "rows": rows}


def _better_baselines(evaluation: Mapping[str, Any] | None) -> list[str]:
    """Where a baseline needs fewer bits than the model."""
    found = []
    for source, splits in (evaluation or {"sources": {}})["sources"].items():
        for split, figures in splits.items():
            others = {
                name: of_sources[source][split]
                for name, of_sources in (evaluation or {}).get("baselines", {}).items()
                if split in of_sources.get(source, {})
            }
            best = min(others, key=lambda name: others[name], default=None)
            if best is not None and others[best] < figures["bits_per_byte"]:
                found.append(f"{source} / {split} ({best})")
    return found


def _lineage(facts: CardFacts) -> list[tuple[str, str]]:
    config, training = facts.config, facts.config["training"]
    environment = facts.environment or {}
    versions = ", ".join(f"{name} {version}" for name, version in environment.get("versions", {}).items())
    begun = config.get("init_from")
    rows = [
        ("run", config["name"]),
        ("begun from", f"the weights of {str(begun).rstrip('/').rpartition('/')[2]}" if begun else "random weights"),
        ("seed", str(config["seed"])),
        ("step", f"{facts.step:,} of {training['steps']:,}"),
        ("tokens read", f"{facts.tokens:,}"),
        ("sequences in a batch", str(training["batch_size"])),
        ("sequence length", f"{config['model']['sequence_length']:,}"),
        ("learning rate", f"{training['learning_rate']:g} to {training['minimum_learning_rate']:g}"),
        ("schedule", f"{training['schedule']}, {training['warmup_steps']:,} steps of warm-up"),
        ("weight decay, clipping", f"{training['weight_decay']:g}, {training['gradient_clipping']:g}"),
        ("precision in training", training["precision"]),
        ("data and their order", facts.data_digest),
        ("tokenizer", (facts.data or {}).get("digests", {}).get("tokenizer", "")),
        ("hardware", f"{environment['ranks']} ranks, {environment['device']}" if environment else ""),
        ("software", versions),
    ]
    return [(name, value) for name, value in rows if value]


def _event(event: Mapping[str, Any]) -> str:
    facts = ", ".join(f"{key} {value}" for key, value in event.items() if key not in ("event", "time"))
    return _cell(f"{event.get('time', '')} {event['event']}: {facts}")


def _cell(text: object) -> str:
    """Text out of data as one cell of a table: no markup, no line ends."""
    plain = " ".join(str(text).split())
    for character, escaped in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("[", "\\["), ("`", "\\`")):
        plain = plain.replace(character, escaped)
    return plain
