"""Losses of continuations behind what precedes them, which is how multiple choice is scored.

What many requests begin with is computed once: requests with one prefix share it, and of prefixes that follow each
other in the order of their ids, only what differs is new. Keys and values do the rest.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from data.progress import progress
from data.shards.format import END_OF_TEXT_ID
from evaluation.bits_per_byte import NOT_SCORED, TokenLosses

if TYPE_CHECKING:
    import torch

LOGITS = 16_000_000
"""That are held at once."""


class Request(NamedTuple):
    """Ids, at least one each: what stands before, and what follows it."""

    prefix: Sequence[int]
    continuation: Sequence[int]


class Scored(NamedTuple):
    """Loss of a continuation in nats, and whether each of its tokens was the likeliest one."""

    nats: float
    greedy: bool


ContinuationLosses = Callable[[Sequence[Request]], list[Scored]]


class HeldPrefix(Protocol):
    """A model that has read some tokens, whose keys and values it keeps."""

    def extend(self, keep: int, ids: Sequence[int]) -> None:
        """Forget all but the first `keep` tokens, and read these."""

    def logits(self, rows: "torch.Tensor") -> "torch.Tensor":
        """Logits (rows, time, vocabulary) of ids (rows, time), each row behind what was read, which stays as it is."""


def behind_prefixes(make: Callable[[], HeldPrefix], vocabulary: int, batch_tokens: int) -> ContinuationLosses:
    """Score requests, those with one prefix together.

    Args:
        make: the model, which has read nothing; called anew for each call, so that no keys and values are left over.
        vocabulary: logits of a token.
        batch_tokens: of prefix and continuation, in rows that are read together.
    """

    def losses(requests: Sequence[Request]) -> list[Scored]:
        held = make()
        read: tuple[int, ...] = ()
        results: list[Scored | None] = [None] * len(requests)
        by_prefix: dict[tuple[int, ...], list[int]] = {}
        for place, request in enumerate(requests):
            by_prefix.setdefault(tuple(request.prefix), []).append(place)
        for prefix in progress(sorted(by_prefix), "continuations", unit="prefixes"):
            before = prefix[:-1]  # its last token is read with each continuation, whose first one it predicts
            shared = _alike(read, before)
            held.extend(shared, before[shared:])
            read = before
            places = by_prefix[prefix]
            scored = _score_rows(
                held, prefix, [requests[place].continuation for place in places], batch_tokens, vocabulary
            )
            for place, result in zip(places, scored, strict=True):
                results[place] = result
        return [result for result in results if result is not None]

    return losses


def _alike(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens both begin with."""
    shorter = min(len(first), len(second))
    different = np.flatnonzero(np.array(first[:shorter]) != np.array(second[:shorter]))
    return int(different[0]) if len(different) else shorter


def _score_rows(
    held: HeldPrefix, prefix: Sequence[int], continuations: Sequence[Sequence[int]], batch_tokens: int, vocabulary: int
) -> Iterator[Scored]:
    """Continuations that differ in their last token alone are one row; the others are padded behind their end."""
    import torch

    rows = sorted({(prefix[-1], *continuation[:-1]) for continuation in continuations}, key=lambda row: (len(row), row))
    found: dict[tuple[int, ...], tuple[torch.Tensor, torch.Tensor]] = {}
    first = 0
    while first < len(rows):
        longest = max(map(len, rows[first:]))
        together = max(1, min(batch_tokens // (len(prefix) + longest), LOGITS // (vocabulary * longest)))
        part = rows[first : first + together]
        time = len(part[-1])
        ids = torch.tensor([[*row, *[row[-1]] * (time - len(row))] for row in part])
        for row, logits in zip(part, held.logits(ids), strict=True):
            chances = logits[: len(row)].float().log_softmax(dim=-1)
            found[row] = chances, chances.argmax(dim=-1)
        first += together
    for continuation in continuations:
        chances, likeliest = found[(prefix[-1], *continuation[:-1])]
        wanted = torch.tensor(continuation, device=chances.device)
        nats = -chances.gather(1, wanted[:, None]).double().sum().item()
        yield Scored(nats, bool((likeliest == wanted).all()))


def in_batches(
    token_losses: TokenLosses,
    requests: Sequence[Request],
    batch_tokens: int,
    rank: int = 0,
    world_size: int = 1,
) -> list[float]:
    """Losses in nats of all requests, of each rank those of its own batches and 0 for the others: sum over ranks.

    Prefixes are read again for each continuation. Every rank calls `token_losses` equally often, on batches of nearly
    the same length, for the model may gather its parameters from all ranks in each call.

    Args:
        batch_tokens: inputs in a call of one rank, at most, but for a single request that is longer.
    """
    order = sorted(range(len(requests)), key=lambda place: -sum(map(len, requests[place])))
    batches: list[list[int]] = []
    for place in order:
        longest = sum(map(len, requests[batches[-1][0]])) - 1 if batches else 0
        if batches and longest * (len(batches[-1]) + 1) <= batch_tokens:
            batches[-1].append(place)
        else:
            batches.append([place])
    nats = [0.0] * len(requests)
    for turn in range(math.ceil(len(batches) / world_size)):
        number = turn * world_size + rank
        batch = batches[number] if number < len(batches) else []
        inputs, targets = _fill([requests[place] for place in batch])
        losses = np.where(targets == NOT_SCORED, 0.0, token_losses(inputs, targets).astype(np.float64))
        for place, loss in zip(batch, losses.sum(axis=1).tolist(), strict=False):
            nats[place] = loss
    return nats


def _fill(requests: Sequence[Request]) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets (batch, time); one row of one ignored target when there are none."""
    time = max((sum(map(len, request)) - 1 for request in requests), default=1)
    inputs = np.full((max(len(requests), 1), time), END_OF_TEXT_ID, np.int64)
    targets = np.full_like(inputs, NOT_SCORED)
    for row, (prefix, continuation) in enumerate(requests):
        whole = [*prefix, *continuation]
        inputs[row, : len(whole) - 1] = whole[:-1]
        targets[row, len(prefix) - 1 : len(whole) - 1] = continuation
    return inputs, targets
