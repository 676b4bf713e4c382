"""A language model as evaluation asks it, whoever trained it: text to ids, and the losses of ids."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evaluation.bits_per_byte import TokenLosses
from evaluation.continuations import ContinuationLosses

Write = Callable[[Sequence[int], int, Callable[[Sequence[int]], bool]], Sequence[int]]
"""From ids, most new ones, and what says of those so far that they are enough, to the likeliest new ones, without an
end of text."""


@dataclass(frozen=True)
class LanguageModel:
    """What a figure about a model needs of it.

    Attributes:
        name: for people.
        digest: of weights and tokenizer; what was measured is kept under it.
        parameters: numbers that were learnt.
        window: most tokens that it reads at once.
        encode: a text to ids, before which stands one: a beginning of its own where it has one, else its end of text.
        decode: ids without that first one to their text.
        token_losses: losses of a batch.
        batch_tokens: most inputs of a batch.
        device: where it computes and in what dtype, as "cpu, float32".
        continuation_losses: losses of continuations, prefixes shared; None where tasks are not asked of it.
        write: the likeliest continuation; None likewise.
        tokenizer_digest: of the tokenizer.json of one that was trained here: shards of that tokenizer are its own ids.
    """

    name: str
    digest: str
    parameters: int
    window: int
    encode: Callable[[str], Sequence[int]]
    decode: Callable[[Sequence[int]], str]
    token_losses: TokenLosses
    batch_tokens: int
    device: str
    continuation_losses: ContinuationLosses | None = None
    write: Write | None = None
    tokenizer_digest: str | None = None


def same_text(given_back: str, text: str) -> bool:
    """Whether ids stand for a text; spaces at its ends and canonical equivalence, which many change, do not count."""
    return unicodedata.normalize("NFC", given_back).strip() == unicodedata.normalize("NFC", text).strip()
