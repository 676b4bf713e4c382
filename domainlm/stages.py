"""The stages of a run, each a function of its configuration: prepare → tokenize → train → evaluate → report.

All but the report recognise finished work with the same inputs and skip it; all can be run again safely.
Those that need the model load torch themselves: the ones about the data take less time without it.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.addresses import without_secrets
from data.corpus.build import Shard, prepare_corpus
from data.corpus.inputs import check_made_with
from data.corpus.split import held_out_of_nothing
from data.errors import DataError
from data.files import MANIFEST, read_object, stage_digest, write_atomically
from data.progress import say
from data.shards.encode import encode_corpus
from data.shards.format import read_manifest
from data.shards.megatron import export_megatron
from data.shards.packing import pack_shards
from data.tokenizer.build import build_tokenizer
from domainlm.configuration import check_made_of_documents, is_made_of_examples
from domainlm.status.goodput import to_spending
from domainlm.status.read import read_status
from evaluation.baselines import measure_baselines
from evaluation.bits_per_byte import HELD_OUT_SPLITS, BySplit, by_split, count_documents
from evaluation.data_card.card import write_data_card
from evaluation.data_card.training_content import write_training_content
from evaluation.figures import figures
from evaluation.labels import held_out_labels, score_labels
from evaluation.pages.report import ReportInputs, write_report
from evaluation.pages.tokenizer import write_tokenizer_page
from evaluation.pages.wording import NOTHING_HELD_OUT, base_model
from evaluation.scores import SCORES, score_model
from model.sizes import parameter_count
from train.checkpoints.compatibility import check_architecture, check_journal, check_stream
from train.checkpoints.folders import (
    Checkpoint,
    CheckpointError,
    describe_finished,
    lost_end,
    newest_checkpoint,
    saved_steps,
)
from train.checkpoints.identity import check_base, check_data, check_metrics, read_own, tokenizer_folder
from train.checkpoints.lock import check_names, check_writable
from train.config import RunConfig
from train.config_file import differences
from train.records.budget import check_budget
from train.records.mirror import keep_reports
from train.records.text_read import notes_of_begun
from train.schedule import doubtful_rate
from train.token_stream import open_stream

LEARNT = ("model.", "training.", "lora.", "data.cutoff", "data.since", "data.past_fraction")
LABEL_FIGURES = ("accuracy", "macro_f1")


def prepare(config: RunConfig, shard: Shard | None = None) -> dict[str, Any]:
    """Documents → corpus; or one shard (i, n) of the work that can be divided.

    Raises:
        ConfigError: the run is a fine-tuning, whose examples `domainlm finetune` prepares.
        DataError: the sources cannot be used.
    """
    check_made_of_documents(config, "prepare")
    report = prepare_corpus(config.data, config.corpus, config.seed, shard)
    if shard is None:
        kept = {name: source["kept"] for name, source in report["sources"].items()}
        for line in held_out_of_nothing(config.data, kept):
            say(f"corpus: {line}")
        _warn_of_weights(config)
    return report


def _warn_of_weights(config: RunConfig) -> None:
    """Say it where checkpoints lie that were trained on other text or another tokenizer than is there now."""
    if not saved_steps(config.checkpoints) or not (config.shards / MANIFEST).exists():
        return
    try:
        check_data(newest_checkpoint(config), config)
    except CheckpointError as error:
        say(f"WARNING: what lies here now is refused with these checkpoints: {error}")


def tokenizer(config: RunConfig) -> dict[str, Any]:
    """Corpus → tokenizer, its report and the page of it."""
    check_made_of_documents(config, "tokenizer")
    folder = config.tokenizer_folder
    check_made_with(config.data, config.corpus)
    report = build_tokenizer(config.tokenizer, config.corpus, folder, config.data.workers)
    page = write_tokenizer_page(folder / "report.json", config.reports, config.name)
    say(f"tokenizer: {page}")
    if config.model.bias == "query_key_value":  # of the one class that may refuse it, said before the hours of training
        from model.exported_tokenizer import try_tokenizer

        try:
            try_tokenizer(folder / "tokenizer.json", config.model, config.tokenizer.end_of_text)
        except ValueError as error:
            say(f"tokenizer: `domainlm export` will refuse this model: {error}")
    return report


def tokenize(config: RunConfig, shard: Shard | None = None) -> dict[str, Any]:
    """Corpus → tokenizer, shards, their packing and the data card; or one shard (i, n) of the encoding.

    Nothing is done where finished shards are given.

    Raises:
        DataError: the corpus is missing, or was made with other settings.
    """
    if config.data.shards is not None:
        say(f"shards: those of data.shards are taken: {config.data.shards}")
        return {"shards": without_secrets(config.data.shards)}
    if shard is not None:
        check_made_with(config.data, config.corpus)
        stage_digest(config.tokenizer_folder, "tokenizer")  # trained once, not by every task
    report = tokenizer(config) if shard is None else {}
    manifest = encode_corpus(
        config.corpus, config.tokenizer_folder, config.shards, config.seed, config.data.workers, shard
    )
    if manifest is None:
        return {}
    tokens = {
        split: {name: source.tokens for name, source in sources.items()} for split, sources in manifest.splits.items()
    }
    packing = pack_shards(config.shards, config.data.packing, config.model.sequence_length, config.data.workers)
    domain = [source.name for source in config.data.sources if source.domain]
    card = write_data_card(config.corpus, config.tokenizer_folder, config.shards, config.reports, config.name, domain)
    say(f"data card: {card}")
    facts = read_object(card.with_suffix(".json"))
    base = base_model({"init_from": config.init_from})
    summary = write_training_content(facts, config.corpus, config.data.sources, base, config.reports)
    say(f"summary of the training content, for a lawyer to finish: {summary}")
    _warn_of_weights(config)
    return {"tokenizer": report, "tokens": tokens, "padding": packing.padding(), "data_card": str(card)}


def train(config: RunConfig, config_file: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Shards → checkpoints, on this machine's ranks; `finished` is false when the run was asked to stop.

    Raises:
        SystemExit: training failed; the ranks have said why.
    """
    result = {"finished": True, "folder": str(config.run_folder)}
    check_names(config.run_folder)
    if finished := describe_finished(config):  # no rank needs to start for that
        say(finished)
        say_other_settings(config)
        return result
    check_budget(config)
    if lost := lost_end(config):
        say(f"WARNING: {lost}")
    if doubt := doubtful_rate(config.training):
        say(f"WARNING: {doubt}")
    say("training: starting the ranks")  # before what takes seconds to load, and they more
    from domainlm import launcher
    from train.engine.machine import check_device

    check_device(config.training)
    check_inputs(config)
    check_writable(config.run_folder)
    code = launcher.launch(config, config_file, overrides)
    if code:
        raise SystemExit(code)
    return result | {"finished": describe_finished(config) is not None}


def check_inputs(config: RunConfig) -> None:
    """Name what no rank could begin with here once, before ranks are started or a job waits for nodes.

    Raises:
        CheckpointError: the run has saved, and cannot go on from that with this configuration.
        ConfigError: `init_from` cannot be taken.
        DataError: the shards are missing, or not those of this configuration.
    """
    stream, has_saved = open_stream(config), bool(saved_steps(config.checkpoints))
    if config.init_from is not None or config.lora is not None:
        from train.engine.initial_weights import check_initial_weights  # loads torch

        check_initial_weights(config, fresh=not has_saved)
    if has_saved:
        found = newest_checkpoint(config)
        check_journal(found, config)
        check_metrics(config)
        check_stream(found, config, stream)
        check_base(found, config)


def say_other_settings(config: RunConfig) -> None:
    """Name the settings that a finished run was not trained with, of those that decide what it has learnt."""
    trained = newest_checkpoint(config).manifest["config"]
    changed = differences(trained, json.loads(config.model_dump_json()))
    for key, (was, now) in changed.items():
        if key == "seed" or key.startswith(LEARNT):
            say(f"WARNING: {config.run_folder} was trained with {key} {was}, not {now}: for that it takes another name")


def evaluate(config: RunConfig, shard: Shard | None = None) -> dict[str, Any]:
    """Newest checkpoint → reports/evaluate.json: bits per byte by source, split and period, and the baselines'.

    Documents that are scored are kept, so that one that was stopped goes on; of a shard (i, n) every n-th group of them
    is scored, and no more is done.

    Raises:
        CheckpointError: there is none, or model, shards, corpus or cutoff are not those that it was trained with.
    """
    file, baselines = config.reports / "evaluate.json", config.evaluation.baselines
    inputs = _measured(config, newest_checkpoint(config))
    if (kept := _kept(file)).get("inputs") == inputs:
        say(f"evaluation: {file} is up to date")
        return kept
    if baselines:
        stage_digest(config.corpus)  # what is missing is said before hours of scoring
    from domainlm.measure.compare import held_out_text
    from domainlm.measure.named_model import own_model

    model, trained = own_model(config)
    text = held_out_text(config, trained.checkpoint, config.evaluation.tokens)
    inputs = _measured(config, trained.checkpoint)  # a newest one that is damaged was passed over
    say(f"evaluating step {trained.step} on the held-out text")
    scored = score_model(model, text, config.reports / SCORES, shard=shard)
    if shard is not None or scored is None:
        return {}
    scores = by_split(scored.documents)
    counts = count_documents(scored.documents) if config.evaluation.tokens else None
    measured = measure_baselines(config.corpus, config.reports, baselines, documents=counts) if baselines else {}
    domain = {source.name for source in config.data.sources if source.domain}
    labelled = held_out_labels(config.data_folder, tokenizer_folder(trained.checkpoint, config))
    result = {
        "step": trained.step,
        "baselines": {},
        **figures(scored, None, period=config.data.period, domain=domain, seed=config.seed),
        **measured,
        **(
            {"labels": score_labels(labelled, ask, config.seed)}
            if labelled and (ask := model.continuation_losses)
            else {}
        ),
        "notes": _notes(config, scores),
        "seconds": round(scored.seconds, 1),
        "inputs": inputs,
    }
    write_atomically(file, json.dumps(result, indent=1))
    return result


def _kept(file: Path) -> dict[str, Any]:
    """What an earlier evaluation has written; empty where there is none, or a damaged one."""
    try:
        return read_object(file)
    except (FileNotFoundError, DataError):
        return {}


def _measured(config: RunConfig, checkpoint: Checkpoint) -> dict[str, Any]:
    """What an evaluation is of: of a checkpoint of the configured model, and of text that it was not trained on."""
    check_architecture(checkpoint, config)
    return {
        "checkpoint": checkpoint.digest,
        "shards": check_data(checkpoint, config).digest,
        "baselines": list(config.evaluation.baselines),
        "period": config.data.period,
        "domain": [source.name for source in config.data.sources if source.domain],
        **({"tokens": config.evaluation.tokens} if config.evaluation.tokens else {}),
    }


def _notes(config: RunConfig, scores: BySplit) -> list[str]:
    """What a reader of the figures has to know: that a part was measured, or that nothing could be."""
    notes = [*held_out_of_nothing(config.data, scores), *notes_of_begun(config)]
    held_out = read_manifest(config.shards).splits
    there = sum(
        source.tokens - source.documents  # the end of each document is not scored
        for split in HELD_OUT_SPLITS
        for source in held_out.get(split, {}).values()
    )
    measured = sum(score.tokens for splits in scores.values() for score in splits.values())
    if config.evaluation.tokens and measured < there:
        notes.append(
            f"{measured:,} of {there:,} held-out tokens were measured, for the baselines too: of each source and split "
            f"whole documents, evenly spread, of {config.evaluation.tokens:,} tokens (evaluation.tokens), one at least"
        )
    return notes


def report(config: RunConfig) -> dict[str, Any]:
    """Samples at the configured prompts and one HTML page with all that the run has shown.

    Raises:
        CheckpointError: there is no checkpoint, or what the page is to show of it is of another run or text.
    """
    found = newest_checkpoint(config)  # what is wrong is said before torch is loaded
    check_data(found, config)
    read_own(config.reports / "evaluate.json", found, config)
    if lacking := check_metrics(config):
        say(f"WARNING: {lacking}")
    from domainlm.generate import continue_texts, load_writer, sample_settings

    writer = load_writer(config, chat=is_made_of_examples(config))
    continued, _ = continue_texts(writer, config.evaluation.prompts, sample_settings(config))
    samples = [{"prompt": one.prompt, "text": one.text} for one in continued]
    write_atomically(config.reports / "samples.json", json.dumps(samples, indent=1, ensure_ascii=False))
    status = read_status(config)
    inputs = ReportInputs(
        name=config.name,
        metrics=config.metrics,
        lacking=lacking,
        evaluation=config.reports / "evaluate.json",
        corpus=config.corpus / "report.json",
        tokenizer=config.tokenizer_folder / "report.json",
        samples=samples,
        domain_sources=tuple(source.name for source in config.data.sources if source.domain),
        parameters=parameter_count(config.model),
        spending=to_spending(status.ledger, status.currency),
    )
    page = write_report(inputs, config.reports)
    say(f"report: {page}")
    keep_reports(config)
    return {"report": str(page), "samples": samples}


def export_shards(config: RunConfig, folder: Path) -> dict[str, Any]:
    """Shards → Megatron's indexed datasets."""
    return {"files": [str(file) for file in export_megatron(config.shards, folder)]}


def describe(result: Mapping[str, Any]) -> str:
    """Bits per byte of the model and of each baseline, a line for each source and split, and notes."""
    if not any(result["sources"].values()):
        return NOTHING_HELD_OUT
    names = list(result["baselines"])
    lines = [f"{'bits per byte':<36} {'model':>8} " + " ".join(f"{name:>12}" for name in names)]
    for source, splits in result["sources"].items():
        for split, figure in splits.items():
            beside = [result["baselines"][name].get(source, {}).get(split) for name in names]
            cells = " ".join(f"{value:>12.3f}" if value is not None else f"{'':>12}" for value in beside)
            lines.append(f"{f'{source} / {split}':<36} {figure['bits_per_byte']:>8.3f} {cells}")
    for source, found in result.get("labels", {}).items():
        lines += [f"{source}, {name} of {found['items']:,} labels: {_interval(found[name])}" for name in LABEL_FIGURES]
    return "\n".join([*lines, *result.get("notes", [])])


def _interval(figure: Mapping[str, Any]) -> str:
    ends = f" ({figure['low']:.3f} to {figure['high']:.3f})" if figure["low"] is not None else ""
    return f"{figure['value']:.3f}{ends}"
