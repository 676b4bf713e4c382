"""Text generation, one token at a time, with a key-value cache."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.attention import LayerCache
from model.transformer import Transformer

ROOM = 1024
"""Tokens that the cache has room for behind the prompt at first: a continuation may end long before its limit."""


@torch.inference_mode()
def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    stop_token: int | Collection[int] | None = None,
    on_token: Callable[[int, int], bool] = lambda place, token: False,
) -> list[list[int]]:
    """Continue each prompt; returns only the new tokens, without the stop token.

    Prompts of one length run as one batch, so there is no padding that could change a result. Every prompt draws from
    a generator of its own: its continuation depends on its place in the list, not on the other prompts.

    Args:
        prompts: token ids, at least one in each.
        temperature: 0 takes the likeliest token; otherwise the logits are divided by it before sampling.
        top_k: sample among the k likeliest tokens only.
        top_p: sample among the likeliest tokens that together reach this probability (Holtzman et al. 2020).
        stop_token: ends a continuation, as each of several does.
        on_token: is told the place of a prompt and each of its new tokens as it comes; True ends that continuation
            behind the token.

    Raises:
        ValueError: a setting is out of range, a prompt is empty or holds unknown ids, or a RoPE model would have to go
            beyond the sequence length that it was trained for.
    """
    sampling = _Sampling(temperature, top_k, top_p)
    stops = stop_token if isinstance(stop_token, Collection) else {stop_token}
    _check_prompts(model, prompts, max_new_tokens)
    seeds = torch.randint(2**63 - 1, (len(prompts),), generator=torch.Generator().manual_seed(seed)).tolist()
    continuations: list[list[int]] = [[] for _ in prompts]
    was_training = model.training
    if was_training:  # going through all modules takes as long as a tenth of a small model's token
        model.eval()
    try:
        for length in sorted({len(prompt) for prompt in prompts}):
            places = [place for place, prompt in enumerate(prompts) if len(prompt) == length]
            batch = torch.tensor([list(prompts[place]) for place in places], device=model.embedding.weight.device)
            generators = [torch.Generator().manual_seed(seeds[place]) for place in places]
            running = dict.fromkeys(places, True)
            for chosen in _tokens(model, batch, max_new_tokens, sampling, generators):
                for place, token in zip(places, chosen, strict=True):
                    if running[place] and token not in stops:
                        continuations[place].append(token)
                        running[place] = not on_token(place, token)
                    else:
                        running[place] = False
                if not any(running.values()):
                    break
    finally:
        if was_training:
            model.train()
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
        scores, tokens = logits.cpu(), None
        if self.top_k is not None:
            scores, tokens = scores.topk(min(self.top_k, scores.shape[-1]))
        elif self.top_p is not None:
            scores, tokens = scores.sort(dim=-1, descending=True, stable=True)
        probabilities = (scores.double() / self.temperature).softmax(dim=-1)
        reached = probabilities.cumsum(dim=-1)
        if self.top_p is not None:
            before = reached - probabilities
            # The first token always stays, whatever rounding makes of a tiny top_p.
            probabilities[:, 1:].masked_fill_(before[:, 1:] >= self.top_p, 0.0)
            reached = probabilities.cumsum(dim=-1)
        draws = torch.cat([torch.rand(1, generator=generator, dtype=torch.float64) for generator in generators])
        # The first place whose sum lies above the draw: one without probability adds nothing and is never it.
        ranks = torch.searchsorted(reached, draws[:, None] * reached[:, -1:], right=True).clamp_(
            max=reached.shape[1] - 1
        )
        chosen = ranks if tokens is None else tokens.gather(1, ranks)
        return chosen.squeeze(1).to(logits.device)


def _tokens(
    model: Transformer, batch: Tensor, count: int, sampling: _Sampling, generators: Sequence[torch.Generator]
) -> Iterator[list[int]]:
    """The tokens that follow a batch of prompts of one length, int64 (batch, time): one for each prompt at a time."""
    cache = [LayerCache(batch.shape[1] + min(count, ROOM)) for _ in model.blocks]
    fresh = batch
    for _ in range(count):
        last = model.hidden_states(fresh, cache)[:, -1:]
        chosen = sampling.choose(model.head(last)[:, 0], generators)
        yield chosen.tolist()
        fresh = chosen[:, None]


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
