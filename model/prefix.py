"""A prefix whose keys and values are kept, behind which any number of continuations is read."""

from collections.abc import Sequence

import torch
from torch import Tensor

from model.attention import LayerCache
from model.transformer import Transformer


class Prefix:
    """Tokens that a model has read; further ones, and continuations behind them, do not read them again."""

    def __init__(self, model: Transformer) -> None:
        self._model = model
        self._cache = [LayerCache() for _ in model.blocks]

    @torch.inference_mode()
    def extend(self, keep: int, ids: Sequence[int]) -> None:
        """Forget all but the first `keep` tokens, and read these."""
        for cache in self._cache:
            cache.shortened(keep)
        if ids:
            self._model.hidden_states(torch.tensor([list(ids)], device=self._device), self._cache)

    @torch.inference_mode()
    def logits(self, rows: Tensor) -> Tensor:
        """Logits float32 (rows, time, vocabulary) of ids (rows, time), each row behind the prefix."""
        cache = None
        if self._cache[0].length:
            cache = [layer.repeated(len(rows), rows.shape[1]) for layer in self._cache]
        logits: Tensor = self._model(rows.to(self._device), cache=cache)
        return logits

    @property
    def _device(self) -> torch.device:
        device: torch.device = self._model.embedding.weight.device
        return device
