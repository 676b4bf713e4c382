"""A series of models, a run for each cutoff on one corpus: what each knows of each period, and what age costs.

What is made lies in series/ of the run's folder: text/corpus (all documents, read and cleaned once, without a
cutoff), a folder for each cutoff that is a run as any other, and scores/. What is drawn from `text` as held out is held
out of every run, for the draw depends on text, fraction and seed alone: the models are measured on that.
"""

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.config import DataConfig
from data.corpus.build import prepare_corpus
from data.corpus.files import corpus_batches, corpus_files
from data.corpus.split import is_read_before
from data.corpus.tombstones import TOMBSTONES
from data.date_columns import intervals_of
from data.files import write_atomically
from data.progress import say
from data.shards.format import read_manifest
from data.source_config import SourceConfig
from domainlm import stages
from domainlm.configuration import load_derived
from domainlm.result import still_to_train
from evaluation.pages.series import FACTS, write_series
from evaluation.scores import SCORES, score_model
from evaluation.series import Member, series_figures, verdict, whole_text
from train.checkpoints.folders import describe_finished, newest_checkpoint
from train.checkpoints.identity import check_data
from train.config import RunConfig, to_yaml
from train.config_file import ConfigError

BYTES_PER_TOKEN = 4
"""Of which `evaluation.tokens` is taken to be, for text that each model has in tokens of its own."""
AS_THEY_ARE: dict[str, Any] = {
    "cleaning": {"fix_mojibake": False, "drop_repetitive": False},
    "decontamination": None,
}
"""Settings of a corpus made of documents that were cleaned before. Near-duplicates are looked for in each run's, not in
the text of all: there a later copy might stay, and runs whose cutoff lies between the two would have neither."""
HOW_IT_IS_READ = SourceConfig.model_fields.keys() - {
    *("name", "path", "weight", "domain", "maximum_epochs", "undated", "origin", "description", "licence"),
    *("earliest_date", "latest_date"),
}
"""Settings of a source that a corpus, which has all of it in columns of its own, is read without."""


def make_series(
    config: RunConfig, cutoffs: Sequence[datetime.date], *, continued: bool = False, prepare: bool = False
) -> dict[str, Any]:
    """Make, train and measure what is not there already.

    Args:
        cutoffs: ascending.
        continued: each run after the first begins with the weights of the one before, and reads only what is new.
        prepare: train nothing; leave each run that can begin ready for `domainlm train` and `submit`.

    Returns:
        "runs": of each cutoff its folder, configuration, tokens and steps; "finished": whether all are trained; then
        also what `series_figures` gives, and "page".

    Raises:
        ConfigError: the configuration holds nothing out, or is of a kind that no series can be made of.
        DataError: a source cannot be used, or a cutoff has no text before it, or none after it.
        SystemExit: training failed; the ranks have said why.
    """
    _check(config, continued)
    folder = config.run_folder / "series"
    text = folder / "text" / "corpus"
    _bring_tombstones(config, text.parent)
    prepare_corpus(_all_documents(config.data), text, config.seed)
    if config.data.near_duplicates:
        say("series: near-duplicates are looked for in the corpus of each run")
    result: dict[str, Any] = {"runs": {}, "finished": False}
    runs: list[RunConfig] = []
    for cutoff in cutoffs:
        run = _make_run(config, text, folder, cutoff, runs, continued=continued)
        file = run.run_folder / "config.yaml"
        tokens = sum(source.tokens for source in read_manifest(run.shards).splits["train"].values())
        is_trained = describe_finished(run) is not None
        result["runs"][cutoff.isoformat()] = {
            "folder": str(run.run_folder),
            "config": str(file),
            "tokens": tokens,
            "steps": run.training.steps,
            "trained": is_trained,
        }
        if prepare and not is_trained:
            if continued:  # the next one begins with its weights
                return result
        elif not stages.train(run, file, [])["finished"]:
            return result
        runs.append(run)
    if prepare and not all(run["trained"] for run in result["runs"].values()):
        return result
    return result | {"finished": True} | _measure(config, text, dict(zip(cutoffs, runs, strict=True)))


def _check(config: RunConfig, continued: bool) -> None:
    if continued and config.training.tuned_at:
        raise ConfigError(
            "series: --continued begins with weights that are trained already, and training.tuned_at belongs to those "
            "that are drawn: leave it out, and give rates for models of this size"
        )
    if not config.data.past_fraction:
        raise ConfigError("series: data.past_fraction is 0, so that no document is held out of all models: set it")
    for name, found in (
        ("lora", config.lora),
        ("data.shards", config.data.shards),
        ("data.canaries", config.data.canaries),
        ("data.stages", config.data.stages),
        ("data.reshuffles", config.data.reshuffles),
    ):
        if found:
            raise ConfigError(f"series: a series is of runs that read their own corpora from scratch: leave {name} out")


def _all_documents(data: DataConfig) -> DataConfig:
    return data.model_copy(update={"cutoff": None, "since": None, "near_duplicates": None})


def _make_run(
    config: RunConfig, text: Path, folder: Path, cutoff: datetime.date, earlier: Sequence[RunConfig], *, continued: bool
) -> RunConfig:
    """The run of a cutoff, with its corpus and shards."""
    before = earlier[-1] if continued and earlier else None
    place = folder / cutoff.isoformat()
    derived = _derive(config, text, place, cutoff, before)
    if before is not None:
        from domainlm.export import export

        export(before, Path(derived["init_from"]), dtype="float32")
    file = place / "config.yaml"
    run = load_derived(derived, place, "series")
    _bring_tombstones(config, place)
    stages.prepare(run)
    stages.tokenize(run)
    if before is not None:
        derived["training"] |= _scaled_steps(config, earlier[0], run)
        run = load_derived(derived, place, "series")
    write_atomically(file, to_yaml(run))
    return run


def _bring_tombstones(config: RunConfig, place: Path) -> None:
    """What is to be forgotten of the run's documents is to be forgotten here too."""
    file = config.corpus.parent / TOMBSTONES
    if file.exists():
        write_atomically(place / TOMBSTONES, file.read_text("utf-8"))


def _derive(
    config: RunConfig, text: Path, place: Path, cutoff: datetime.date, before: RunConfig | None
) -> dict[str, Any]:
    """The configuration of one run of the series, as JSON values."""
    given, since = config.model_dump(mode="json"), before.data.cutoff if before else None
    sources = [
        source
        | {
            "path": f"{text}/*/{source['name']}/*.parquet",
            **{key: SourceConfig.model_fields[key].default for key in HOW_IT_IS_READ},
        }
        for source in given["data"]["sources"]
        if _is_read(text, source["name"], since, cutoff)
    ]
    if not sources:
        between = f"from {since} on and " if since else ""
        raise ConfigError(f"series: no text lies {between}before {cutoff}: choose other cutoffs")
    derived = given | {
        "name": f"{config.name}-{cutoff}",
        "folder": str(place),
        "finetune": None,
        "data": given["data"]
        | AS_THEY_ARE
        | {"sources": sources, "folder": None, "cutoff": cutoff.isoformat(), "since": since and since.isoformat()},
        "evaluation": given["evaluation"] | {"baselines": [], "compare": []},
        "monitoring": given["monitoring"] | {"group": config.monitoring.group or f"{config.name}-series"},
    }
    if before is not None:
        derived["init_from"] = str(before.run_folder / "export")
        derived["tokenizer"] = {
            "path": str(before.tokenizer_folder),
            "vocabulary_size": config.tokenizer.vocabulary_size,
            "end_of_text": config.tokenizer.end_of_text,
        }
    return derived


def _is_read(text: Path, source: str, since: datetime.date | None, cutoff: datetime.date) -> bool:
    """Whether the run of these days reads any document of a source; if not, it is none of its sources."""
    for batch in corpus_batches(corpus_files(text, "train").get(source, []), ["first_date", "last_date"]):
        for date in intervals_of(batch):
            if not is_read_before(date, since) and (date is None or date.lies_before(cutoff)):
                return True
    say(f"series: {source} has nothing for the model of {cutoff}")
    return False


def _scaled_steps(config: RunConfig, first: RunConfig, run: RunConfig) -> dict[str, Any]:
    """As many passes over the new text as the first run makes over its own, at the batch size that it ends with."""
    own, of_first = (
        sum(source.tokens for source in read_manifest(each.shards).splits["train"].values()) for each in (run, first)
    )
    asked = config.training
    steps = max(2, math.ceil(asked.steps * own / of_first))
    batch_size = list(asked.batch_sizes.values())[-1]
    warmup = min(steps - 1, math.ceil(asked.warmup_steps * steps / asked.steps))
    say(f"series: {run.name} reads {own:,} new tokens in {steps:,} steps, as many passes as {first.name} makes")
    return {"steps": steps, "warmup_steps": warmup, "batch_size": batch_size}


def _measure(config: RunConfig, text: Path, runs: Mapping[datetime.date, RunConfig]) -> dict[str, Any]:
    """Score every model on what is held out of all, and write series.json and its page."""
    from domainlm.measure.named_model import own_model

    limit = config.evaluation.tokens and config.evaluation.tokens * BYTES_PER_TOKEN
    held_out = whole_text(text, limit)
    members = []
    for run in runs.values():
        check_data(newest_checkpoint(run), run)  # one that was trained before the text changed, or in another series
    for cutoff, run in runs.items():
        model = replace(own_model(run)[0], tokenizer_digest=None)  # the text is in no tokenizer's ids
        scored = score_model(model, held_out, config.run_folder / "series" / SCORES)
        if scored is None:
            raise AssertionError("all groups were to be scored")
        members.append(Member(cutoff, scored.documents))
    figures = series_figures(
        members,
        period=config.data.period,
        domain={source.name for source in config.data.sources if source.domain},
        seed=config.seed,
    )
    result = figures | {"verdict": verdict(figures)}
    write_atomically(config.reports / FACTS, json.dumps(result, indent=1))
    page = write_series(result, config.name, config.reports)
    say(f"series: {page}")
    return result | {"page": str(page)}


def describe(result: Mapping[str, Any]) -> str:
    """The matrix that a person reads, or what is still to be trained."""
    if not result["finished"]:
        return still_to_train(result["runs"].values())
    width = max(7, *(len(period) for period in result["periods"])) if result["periods"] else 7
    lines = [f"{'bits per byte':<14}" + "".join(f"{period:>{width + 1}}" for period in result["periods"])]
    for cutoff, row, read in zip(result["cutoffs"], result["bits_per_byte"], result["read"], strict=True):
        cells = [
            f"{value:.3f}{'' if known else '*' if known is False else '~'}"
            for value, known in zip(row, read, strict=True)
        ]
        lines.append(f"before {cutoff:<7}"[:17].ljust(14) + "".join(f"{cell:>{width + 1}}" for cell in cells))
    legend = "* the model has read nothing of the period, ~ a part of it"
    return "\n".join([*lines, legend, "", result["verdict"], "", f"page    {result['page']}"])
