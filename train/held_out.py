"""Bits per byte of the held-out text while the run goes on, shared out over the ranks."""

import time

import torch
import torch.distributed as dist

from evaluation.bits_per_byte import Score, score_held_out
from train.run import Run
from train.trained import token_losses


def evaluate(run: Run, step: int) -> None:
    """Bits per byte of a sample of the held-out text, by source and split."""
    begin = time.perf_counter()
    run.engine.eval()
    scores = score_held_out(
        token_losses(run.engine, run.device),
        run.config.shards,
        sequence_length=run.config.model.sequence_length,
        batch_size=run.config.evaluation.batch_size,
        maximum_tokens=run.config.evaluation.training_tokens,
        rank=run.rank.rank,
        world_size=run.rank.world_size,
    )
    run.engine.train()
    totals = _summed_over_ranks(scores, run.device)
    if run.monitor:
        bits = {
            source: {split: score.bits_per_byte for split, score in splits.items()} for source, splits in totals.items()
        }
        run.monitor.evaluation(step, bits, time.perf_counter() - begin)


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
