"""Text generation, one token at a time, with a key-value cache."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.attention import LayerCache
from model.transformer import Transformer


@torch.no_grad()
def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    stop_token: int | None = None,
) -> list[list[int]]:
    """Continue each prompt; returns only the new tokens, without the stop token.

    Prompts of one length run as one batch, so there is no padding that could change a result. Every prompt draws from
    a generator of its own: its continuation depends on its place in the list, not on the other prompts.

    Args:
        prompts: token ids, at least one in each.
        temperature: 0 takes the likeliest token; otherwise the logits are divided by it before sampling.
        top_k: sample among the k likeliest tokens only.
        top_p: sample among the likeliest tokens that together reach this probability (Holtzman et al. 2020).
        stop_token: ends a continuation; one that is shorter than `max_new_tokens` has met it.

    Raises:
        ValueError: a setting is out of range, a prompt is empty or holds unknown ids, or a RoPE model would have to go
            beyond the sequence length that it was trained for.
    """
    sampling = _Sampling(temperature, top_k, top_p)
    _check_prompts(model, prompts, max_new_tokens)
    seeds = torch.randint(2**63 - 1, (len(prompts),), generator=torch.Generator().manual_seed(seed)).tolist()
    continuations: list[list[int]] = [[] for _ in prompts]
    was_training = model.training
    model.eval()
    try:
        for length in sorted({len(prompt) for prompt in prompts}):
            places = [place for place, prompt in enumerate(prompts) if len(prompt) == length]
            batch = torch.tensor([list(prompts[place]) for place in places], device=model.embedding.weight.device)
            generators = [torch.Generator().manual_seed(seeds[place]) for place in places]
            rows = _continue(model, batch, max_new_tokens, sampling, generators, stop_token)
            for place, row in zip(places, rows, strict=True):
                continuations[place] = row
    finally:
        model.train(was_training)
    return continuations


@dataclass(frozen=True)
class _Sampling:
    """How the next token is chosen; the fields are the arguments of `generate`."""

    temperature: float
    top_k: int | None
    top_p: float | None

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError(f"temperature={self.temperature} must be 0 (the likeliest token) or above")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k={self.top_k} must be at least 1; leave it out to sample among all tokens")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p={self.top_p} must lie above 0 and at most at 1")

    def choose(self, logits: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """One token for each row of logits (batch, vocabulary); int64 (batch,) on the same device."""
        if self.temperature == 0:
            return logits.argmax(dim=-1)
        scores, tokens = logits.cpu().sort(dim=-1, descending=True, stable=True)
        probabilities = (scores[:, : self.top_k] / self.temperature).softmax(dim=-1)
        if self.top_p is not None:
            before = probabilities.cumsum(dim=-1) - probabilities
            # The first token always stays, whatever rounding makes of a tiny top_p.
            probabilities[:, 1:].masked_fill_(before[:, 1:] >= self.top_p, 0.0)
        ranks = [torch.multinomial(row, 1, generator=g) for row, g in zip(probabilities, generators, strict=True)]
        return tokens.gather(1, torch.stack(ranks)).squeeze(1).to(logits.device)


def _continue(
    model: Transformer,
    batch: Tensor,
    max_new_tokens: int,
    sampling: _Sampling,
    generators: Sequence[torch.Generator],
    stop_token: int | None,
) -> list[list[int]]:
    """Continuations of a batch of prompts of one length, int64 (batch, time)."""
    cache = [LayerCache() for _ in model.blocks]
    rows: list[list[int]] = [[] for _ in batch]
    running = [True] * len(rows)
    fresh = batch
    for _ in range(max_new_tokens):
        last = model.hidden_states(fresh, cache)[:, -1:]
        chosen = sampling.choose(model.head(last)[:, 0], generators)
        for place, token in enumerate(chosen.tolist()):
            running[place] = running[place] and token != stop_token
            if running[place]:
                rows[place].append(token)
        if not any(running):
            break
        fresh = chosen[:, None]
    return rows


def _check_prompts(model: Transformer, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> None:
    config = model.config
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens={max_new_tokens} must not be negative")
    for place, prompt in enumerate(prompts):
        if not prompt:
            raise ValueError(f"prompt {place} is empty; begin it with the end-of-text token")
        if not 0 <= min(prompt) <= max(prompt) < config.vocabulary_size:
            raise ValueError(f"prompt {place} holds a token id outside 0 ... {config.vocabulary_size - 1}")
        if config.positions == "rope" and len(prompt) + max_new_tokens > config.sequence_length:
            raise ValueError(
                f"prompt {place} has {len(prompt)} tokens and {max_new_tokens} more are asked for, but this RoPE model"
                f" knows only the {config.sequence_length} positions of its sequence_length; shorten one of them"
            )
