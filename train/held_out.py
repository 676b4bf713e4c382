"""Bits per byte of the held-out text, and tasks, while the run goes on, shared out over the ranks."""

import functools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from data.errors import DataError
from data.progress import say
from data.tokenizer.build import end_of_text_id, load_tokenizer
from evaluation.bits_per_byte import DocumentScore, Score, TokenLosses, by_split, score_documents
from evaluation.continuations import ContinuationLosses, Request, Scored, in_batches
from evaluation.labels import held_out_labels, score_labels
from evaluation.language_model import LanguageModel
from evaluation.tasks.harness import LoadedTask, answer, load_tasks
from train import watchdog
from train.checkpoints.identity import shards_in_use
from train.checkpoints.trained import token_losses
from train.config import RunConfig
from train.run import Run


class _StoppedError(Exception):
    """The ranks agreed to stop between two batches."""


def evaluate(run: Run, step: int) -> bool:
    """Bits per byte of a sample of the held-out text, by source and split, and the tasks where they are due.

    Returns:
        False when the ranks were asked to stop and did, between two batches; it is then made up for at the resume.

    Raises:
        DataError: other shards have taken the place of those that the run began with.
    """
    begin = time.perf_counter()
    shards_in_use(run.config, run.stream)
    interruptible = _interruptible(run, token_losses(run.engine, run.device))
    run.engine.eval()
    try:
        documents = _score(run, interruptible)
        tasks = _score_tasks(run, interruptible) if _tasks_are_due(run.config, step) else {}
        if run.stream.packing.has_counted:
            hits = _score(run, _interruptible(run, token_losses(run.engine, run.device, "hits")))
            for source, figures in _responses(run, documents, hits, interruptible).items():
                tasks[source] = tasks.get(source, {}) | figures  # a task may have the name of examples
    except _StoppedError:
        if run.monitor:
            say(f"step {step}  evaluation interrupted ({run.stop.reason or 'another rank'}); the resume makes it up")
        return False
    finally:
        run.engine.train()
    totals = _summed_over_ranks(by_split(documents), run.device)
    if run.monitor:
        bits = {
            source: {split: score.bits_per_byte for split, score in splits.items()} for source, splits in totals.items()
        }
        run.monitor.evaluation(step, bits, time.perf_counter() - begin, tasks)
    return True


def _interruptible(run: Run, losses: TokenLosses) -> TokenLosses:
    """The same, with a sign of life for each batch, and an end where the ranks are asked to stop."""

    def asked(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        watchdog.guard(run.config.training.hang_timeout)
        if run.asked_to_stop():
            raise _StoppedError
        return losses(inputs, targets)

    return asked


def _score(run: Run, losses: TokenLosses) -> list[DocumentScore]:
    """The sample of the held-out documents, of each rank the sums of its own batches."""
    return score_documents(
        losses,
        run.config.shards,
        sequence_length=run.config.model.sequence_length,
        batch_size=run.config.evaluation.batch_size,
        maximum_tokens=run.config.evaluation.training_tokens,
        rank=run.rank.rank,
        world_size=run.rank.world_size,
    )


def _responses(
    run: Run, documents: list[DocumentScore], hits: list[DocumentScore], losses: TokenLosses
) -> dict[str, dict[str, float]]:
    """Of held-out examples by source: loss and accuracy of the responses' tokens, and of labels where it has any.

    Returns:
        {source: {"loss" in nats a token, "token_accuracy", "label_accuracy", "label_macro_f1"}}.
    """
    sums, hit = (_summed_over_ranks(by_split(scores), run.device) for scores in (documents, hits))
    figures = {
        source: {
            "loss": sum(score.nats for score in splits.values()) / sum(score.tokens for score in splits.values()),
            "token_accuracy": sum(score.nats for score in hit[source].values())
            / sum(score.tokens for score in splits.values()),
        }
        for source, splits in sums.items()
    }
    labelled = _held_out_labels(run.config.data_folder, run.config.tokenizer_folder)
    most = run.config.evaluation.task_items
    first = [one for source in figures for one in [each for each in labelled if each.source == source][:most]]
    for source, found in score_labels(first, _continuations(run, losses), run.config.seed).items():
        figures[source] |= {f"label_{name}": found[name]["value"] for name in ("accuracy", "macro_f1")}
    return figures


_held_out_labels = functools.cache(held_out_labels)


def is_due(config: RunConfig, step: int) -> bool:
    """Whether `step` is to be evaluated."""
    return step > 0 and (step == config.training.steps or step % config.evaluation.every == 0)


def _tasks_are_due(config: RunConfig, step: int) -> bool:
    every = config.evaluation.tasks_every or 1
    return bool(config.evaluation.tasks) and (step == config.training.steps or step % every == 0)


def tasks_of_run(config: RunConfig) -> list[LoadedTask]:
    """The tasks that are scored during training; they are loaded once.

    Raises:
        DataError: one cannot be loaded, or is more than a choice by likelihood.
    """
    wanted = config.evaluation
    tasks = _load_tasks(wanted.tasks, config.seed, wanted.task_items, tuple(wanted.task_data.items()))
    for each in tasks:
        if each.task.OUTPUT_TYPE != "multiple_choice" or "exact_match" in each.aggregates:
            raise DataError(
                f"task {each.name}: training scores multiple choice alone, not what a model writes: take it "
                "out of evaluation.tasks, and use `domainlm tasks` after training"
            )
    if tasks:
        load_tokenizer(config.tokenizer_folder)  # shards may have been given without one
    return tasks


@functools.cache
def _load_tasks(
    names: tuple[str, ...], seed: int, limit: int | None, places: tuple[tuple[str, str], ...]
) -> list[LoadedTask]:
    return load_tasks(names, seed=seed, limit=limit, places=dict(places)) if names else []


def _continuations(run: Run, losses: TokenLosses) -> ContinuationLosses:
    """Losses of continuations, which the ranks share out; every rank gets all of them."""
    config = run.config

    def continuation_losses(requests: Sequence[Request]) -> list[Scored]:
        batch_tokens = config.evaluation.batch_size * config.model.sequence_length
        own = in_batches(losses, requests, batch_tokens, run.rank.rank, run.rank.world_size)
        sums = torch.tensor(own, dtype=torch.float64, device=run.device)
        dist.all_reduce(sums)
        return [Scored(nats, greedy=False) for nats in sums.tolist()]

    return continuation_losses


def _score_tasks(run: Run, losses: TokenLosses) -> dict[str, dict[str, float]]:
    """The metrics of each task; every rank asks all items of lm-eval, and the model those of its own batches."""
    config, end_of_text = run.config, end_of_text_id(run.config.tokenizer_folder)
    tokenizer = load_tokenizer(config.tokenizer_folder)
    model = LanguageModel(
        name=config.name,
        digest="",
        parameters=0,
        window=config.model.sequence_length,
        encode=lambda text: [end_of_text, *tokenizer.encode(text).ids],
        decode=lambda ids: str(tokenizer.decode(ids, skip_special_tokens=False)),
        token_losses=losses,
        batch_tokens=config.evaluation.batch_size * config.model.sequence_length,
        device=run.device.type,
        continuation_losses=_continuations(run, losses),
    )
    figures: dict[str, dict[str, float]] = {}
    for task in tasks_of_run(config):
        values: dict[str, list[Any]] = {}
        for item in answer(model, task).answers:
            for metric, value in item["values"].items():
                values.setdefault(metric, []).append(value)
        figures[task.name] = {
            metric: float(aggregate(values[metric]))
            for metric, aggregate in task.aggregates.items()
            if metric in values
        }
    return figures


def _summed_over_ranks(scores: dict[str, dict[str, Score]], device: torch.device) -> dict[str, dict[str, Score]]:
    cells = [(source, split) for source in scores for split in scores[source]]
    sums = torch.tensor(
        [[scores[a][b].nats, scores[a][b].tokens, scores[a][b].bytes] for a, b in cells],
        dtype=torch.float64,
        device=device,
    )
    dist.all_reduce(sums)
    totals: dict[str, dict[str, Score]] = {}
    for (source, split), (nats, tokens, size) in zip(cells, sums.tolist(), strict=True):
        totals.setdefault(source, {})[split] = Score(nats, int(tokens), int(size))
    return totals
