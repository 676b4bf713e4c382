"""The model card of an exported model: README.md with what was read, how it was trained, and what it measures."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from evaluation.baselines import Results, measured
from evaluation.bits_per_byte import Figures
from evaluation.pages.html import templates
from evaluation.pages.wording import base_model, number_in_words, share, text_size

ORDINARY_EVENTS = {
    "start",
    "resume",
    "saving",
    "save",
    "done",
    "stop",
    "stragglers",
    "spike not examined",
    "initial weights",
}
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
    environment = templates()
    environment.filters["cell"] = _cell
    sources: Mapping[str, Any] = facts.data["sources"] if facts.data else {}
    last_dates = [source["kept"].get("train", {}).get("last_date") for source in sources.values()]
    licences: Counter[str] = Counter()
    for source in sources.values():
        licences.update(source["licences"])
    evaluation = facts.evaluation or {"sources": {}}
    scores, baselines = evaluation["sources"], evaluation.get("baselines", {})
    return environment.get_template("model_card.md.j2").render(
        facts=facts,
        header=yaml.safe_dump(_header(sources, base_model(facts.config)), sort_keys=False, allow_unicode=True).rstrip(),
        parameters=number_in_words(facts.parameters),
        tokens=number_in_words(facts.tokens),
        domain=[name for name, source in sources.items() if source["domain"]],
        rounded=facts.config["model"]["positions"] == "alibi" and facts.dtype != "float32",
        last_date=max(filter(None, last_dates), default=None),
        undated=not all(last_dates),
        sources=_source_rows(sources),
        licences=[(name, count, share(count, licences.total())) for name, count in licences.most_common()],
        results=_results(scores, baselines),
        better=_better_baselines(scores, baselines),
        lineage=_lineage(facts),
        events=[_event(event) for event in facts.events if event["event"] not in ORDINARY_EVENTS][:MOST_EVENTS],
        model_yaml=yaml.safe_dump(dict(facts.config["model"]), sort_keys=False).rstrip(),
    )


def _header(sources: Mapping[str, Any], base: str | None) -> dict[str, Any]:
    languages = sorted({source["language"] for source in sources.values() if source["language"]})
    return {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "license": "other",
        "license_name": "see-the-licences-of-the-training-text",
        **({"base_model": base} if base else {}),
        **({"language": languages} if languages else {}),
        "tags": ["domainlm", "pretrained"],
    }


def _source_rows(sources: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for name, source in sources.items():
        if kept := source["kept"].get("train"):
            first, last = kept["first_date"], kept["last_date"]
            dates = f"{first} to {last}" if first else f"until {last}" if last else "undated"
            counts = [f"{kept[key]:,}" for key in ("documents", "tokens")]
            rows.append([name, *counts, text_size(kept["bytes"]), dates, ", ".join(source["licences"])])
    return rows


def _results(scores: Figures, baselines: Results) -> dict[str, list[Any]]:
    """Columns, and a row of bits per byte for each source and split."""
    rows = []
    for source, splits in scores.items():
        for split, figures in splits.items():
            beside = measured(baselines, source, split)
            others = [f"{beside[name]:.3f}" if name in beside else "" for name in baselines]
            rows.append([source, split, f"{figures['bits_per_byte']:.3f}", *others])
    return {"columns": ["source", "split", "model", *baselines], "rows": rows}


def _better_baselines(scores: Figures, baselines: Results) -> list[str]:
    """Where a baseline needs fewer bits than the model, and which needs the fewest."""
    found = []
    for source, splits in scores.items():
        for split, figures in splits.items():
            beside = measured(baselines, source, split)
            best = min(beside, key=lambda name: beside[name], default=None)
            if best is not None and beside[best] < figures["bits_per_byte"]:
                found.append(f"{source} / {split} ({best})")
    return found


def _lineage(facts: CardFacts) -> list[tuple[str, str]]:
    config, training = facts.config, facts.config["training"]
    environment = facts.environment or {}
    versions = ", ".join(f"{name} {version}" for name, version in environment.get("versions", {}).items())
    begun = base_model(config)
    rows = [
        ("run", config["name"]),
        ("begun from", f"the weights of {begun}" if begun else "random weights"),
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
