"""Our language models as lm-eval asks a model: text in, likelihoods and text out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM

from data.errors import DataError
from data.progress import progress
from data.shards.format import EncodedDocument
from evaluation.bits_per_byte import score_encoded
from evaluation.continuations import Request
from evaluation.language_model import LanguageModel

NEW_TOKENS = 256
"""Of an answer where a task does not say how many at most; as lm-eval's own."""


class Adapter(TemplateLM):  # type: ignore[misc]
    """A language model for lm-eval.

    A text is split into context and continuation as lm-eval splits it, but before a context always stands what the
    model has read before every text: lm-eval puts nothing there unless the tokenizer does by itself.
    """

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self._model = model

    @property
    def eot_token_id(self) -> int:
        """What stands before a text."""
        return self._model.encode("")[0]

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: object) -> list[int]:
        """Ids; with what stands before a text unless `add_special_tokens` is False."""
        ids = list(self._model.encode(string))
        return ids[1:] if add_special_tokens is False else ids

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[tuple[str, str], list[int], list[int]]], **_: object
    ) -> list[tuple[float, bool]]:
        assert self._model.continuation_losses is not None
        cut = [self._cut(*request) for request in requests]
        return [(-scored.nats, scored.greedy) for scored in self._model.continuation_losses(cut)]

    def _cut(self, texts: tuple[str, str], context: list[int], continuation: list[int]) -> Request:
        """To the window, from the left."""
        room = self._model.window + 1 - len(continuation)
        if not continuation or room < 1:
            what = "has no token of its own" if not continuation else f"has {len(continuation):,} tokens"
            raise DataError(
                f"{self._model.name} reads {self._model.window:,} tokens at once, and an answer of the task {what}: "
                f"{texts[1][:80]!r} behind {texts[0][-80:]!r}"
            )
        return Request(context[-room:], continuation)

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihoods of whole texts in nats, in disjoint windows as lm-eval cuts them."""
        begin = self.eot_token_id
        texts = [request.args[0] for request in requests]
        documents = [
            EncodedDocument(
                str(place), None, np.asarray(self._model.encode(text)[1:], np.int64), len(text.encode()), begin
            )
            for place, text in enumerate(texts)
        ]
        scores = score_encoded(
            self._model.token_losses,
            documents,
            window=self._model.window,
            batch_tokens=max(self._model.batch_tokens, self._model.window),
            rule="disjoint",
        )
        return [-score.nats for score in scores]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """The likeliest continuations, each before the first of the task's stop strings."""
        return [self._write(*request.args) for request in progress(requests, "answers", unit="answers")]

    def _write(self, context: str, settings: dict[str, Any]) -> str:
        assert self._model.write is not None
        if settings.get("do_sample") and settings.get("temperature", 1.0) > 0:
            raise DataError(f"the task asks for sampled answers ({settings}): only the likeliest are written here")
        stops = settings.get("until") or []
        stops = [stop for stop in ([stops] if isinstance(stops, str) else stops) if stop]
        most = int(settings.get("max_gen_toks", settings.get("max_new_tokens", NEW_TOKENS)))
        room = self._model.window - most
        if room < 1:
            raise DataError(
                f"{self._model.name} reads {self._model.window:,} tokens at once: too few for answers of {most:,}"
            )
        ids = self._model.write(
            self.tok_encode(context)[-room:],
            most,
            lambda so_far: any(stop in self._model.decode(so_far) for stop in stops),
        )
        text = self._model.decode(ids)
        return text[: min((place for stop in stops if (place := text.find(stop)) >= 0), default=len(text))]
