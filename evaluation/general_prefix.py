"""Models of transformers behind a prefix that is read once: its keys and values, where a class keeps them exactly."""

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from evaluation.continuations import HeldPrefix

if TYPE_CHECKING:
    import torch

TRIAL = 12
"""Tokens by which it is tried whether a class's keys and values give what reading everything gives."""
CLOSE = 1e-3
"""Logits that differ by less, in float32, are the same but for rounding."""


def general_prefix(model: Any) -> HeldPrefix:
    """The prefix of a model; one that reads everything again where its class has no keys and values that hold."""
    import torch

    ids = torch.arange(TRIAL)
    kept, whole = _Kept(model), _ReadAgain(model)
    try:
        for prefix in (kept, whole):
            prefix.extend(0, ids[:6].tolist())
            prefix.extend(4, ids[4:8].tolist())  # shortened and gone on with
        rows = torch.stack([ids[8:], ids[8:].flip(0)])
        close = CLOSE if model.dtype == torch.float32 else 100 * CLOSE
        if torch.allclose(kept.logits(rows), whole.logits(rows), atol=close, rtol=close):
            return _Kept(model)
    except Exception:  # a class of its own kind raises of its own kind
        pass
    return _ReadAgain(model)


class _Kept:
    """By transformers' own cache."""

    def __init__(self, model: Any) -> None:
        from transformers import DynamicCache

        self._model = model
        self._cache = DynamicCache(config=model.config)
        self._length = 0

    def extend(self, keep: int, ids: Sequence[int]) -> None:
        import torch

        if keep < self._length:
            self._cache.crop(keep - self._length)  # tokens to take away, as a negative number
        self._length = keep + len(ids)
        if ids:
            fresh = torch.tensor([list(ids)], device=self._model.device)
            with torch.inference_mode():
                self._model.base_model(input_ids=fresh, past_key_values=self._cache, use_cache=True)

    def logits(self, rows: "torch.Tensor") -> "torch.Tensor":
        import torch

        cache = None
        if self._length:
            cache = copy.deepcopy(self._cache)
            cache.batch_repeat_interleave(len(rows))
        with torch.inference_mode():
            result: torch.Tensor = self._model(
                input_ids=rows.to(self._model.device), past_key_values=cache, use_cache=cache is not None
            ).logits
        return result


class _ReadAgain:
    """By reading the prefix with every row."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._ids: list[int] = []

    def extend(self, keep: int, ids: Sequence[int]) -> None:
        self._ids = [*self._ids[:keep], *ids]

    def logits(self, rows: "torch.Tensor") -> "torch.Tensor":
        import torch

        before = torch.tensor(self._ids, dtype=rows.dtype).expand(len(rows), -1)
        with torch.inference_mode():
            whole: torch.Tensor = self._model(
                input_ids=torch.cat([before, rows], dim=1).to(self._model.device), use_cache=False
            ).logits
        return whole[:, len(self._ids) :]


def write(
    model: Any, end_of_text: int | None, prefix: Sequence[int], most: int, ended: Callable[[Sequence[int]], bool]
) -> list[int]:
    """The likeliest new ids, without an end of text; arguments as of `language_model.Write`."""
    import torch
    from transformers import GenerationConfig

    ids = torch.tensor([list(prefix)], device=model.device)

    def enough(so_far: torch.Tensor, scores: object, **_: object) -> torch.Tensor:
        return torch.tensor([ended(so_far[0, ids.shape[1] :].tolist())], device=so_far.device)

    # A folder's own generation_config.json may ask for sampling or for penalties.
    greedy = GenerationConfig(do_sample=False, max_new_tokens=most, eos_token_id=end_of_text, pad_token_id=end_of_text)
    with torch.inference_mode():
        written = model.generate(
            ids, attention_mask=torch.ones_like(ids), generation_config=greedy, stopping_criteria=[enough]
        )
    new: list[int] = written[0, ids.shape[1] :].tolist()
    return new[:-1] if new and new[-1] == end_of_text else new
