"""Phase two of a corpus: what becomes of each document, decided on digests and signatures alone, without the texts.

In order: what was asked to be forgotten goes, then repeated ids, then all but one of equal texts, then training text
with evaluation items in it, then near-duplicates. What goes for one reason takes no part in what follows.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import chain

import numpy as np
import numpy.typing as npt

from data.config import DecontaminationConfig, NearDuplicateConfig
from data.corpus.split import DROPPED, NOT_SAMPLED, SPLITS, STRADDLES, STRADDLING
from data.files import new_digest

Digests = npt.NDArray[np.uint64]  # (documents, 2): the halves of a digest of 128 bits
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# Of train, past, future, NOT_SAMPLED, DROPPED and STRADDLING: the lower stays. 0 is for what is forgotten.
_WITNESS = (
    2  # what may be of the cutoff or later and is not written: its copies are not trained on, and may be held out
)
_SPLIT_RANKS = np.array([4, 3, 1, 1, _WITNESS, _WITNESS], np.uint8)
_OUT = 255  # rank, among equals, of a document that has gone already


class Fate(IntEnum):
    """What becomes of a document."""

    KEPT = 0
    REPEATED_ID = 1
    FORGOTTEN = 2
    DUPLICATE = 3
    DUPLICATE_OF_HELD_OUT_TEXT = 4
    NEAR_DUPLICATE = 5
    NEAR_DUPLICATE_OF_HELD_OUT_TEXT = 6
    CONTAMINATED = 7
    NOT_SAMPLED = 8
    DROPPED = 9
    STRADDLES = 10


# What reports call the fates of documents that are dropped; a repeated id is a malformed record, and what cleaning
# dropped was counted then.
DROP_REASONS = {
    Fate.FORGOTTEN: "forgotten",
    Fate.DUPLICATE: "duplicate",
    Fate.DUPLICATE_OF_HELD_OUT_TEXT: "duplicate of held-out text",
    Fate.NEAR_DUPLICATE: "near-duplicate",
    Fate.NEAR_DUPLICATE_OF_HELD_OUT_TEXT: "near-duplicate of held-out text",
    Fate.CONTAMINATED: "contaminated",
    Fate.NOT_SAMPLED: "after the cutoff, not sampled",
    Fate.STRADDLES: STRADDLES,
}


@dataclass(frozen=True)
class Staged:
    """What is known of all staged documents: those of the first source, part by part, then of the second, and so on."""

    texts: Digests  # of the texts
    keys: Digests  # `document_key` of each
    splits: npt.NDArray[
        np.uint8
    ]  # (documents,): index into SPLITS, the later held out, the higher; NOT_SAMPLED; DROPPED; or STRADDLING
    signatures: Callable[[], Iterable[npt.NDArray[np.uint8]]]  # `Parts` of near_duplicates.py: maps of their files
    # (grams,): evaluation items' n-grams that stand in training text, and the document of each; none has one twice
    grams: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    touched: Indices = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True)
class Forgotten:
    """What was asked to be forgotten, as `data.corpus.tombstones` reads it."""

    texts: Digests
    keys: Digests
    signatures: npt.NDArray[np.uint8]  # (those that can be compared, bands * rows)
    complete: bool  # whether all can, and were signed as the corpus is


@dataclass(frozen=True)
class Decision:
    """What becomes of each document."""

    fates: npt.NDArray[np.uint8]  # (documents,): values of Fate
    # (documents,): of a duplicate, the one that was chosen of its equals; of a near-duplicate, the kept one that it
    # resembles; else -1.
    resembles: Indices
    # Evaluation items' n-grams that are common phrases.
    common: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))


def document_key(source: str, document: str) -> bytes:
    """Digest of a document's name, 16 bytes: an id may stand once in a source."""
    return new_digest(f"{source}\0{document}".encode()).digest()


def as_digests(digests: bytes | bytearray | memoryview) -> Digests:
    """View digests of 16 bytes, one after the other, as an array (documents, 2)."""
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 2)


def decide_by_name(staged: Staged, forgotten: Forgotten) -> Decision:
    """Decide what becomes of each document by its name and by what is to be forgotten of names and texts.

    Returns:
        KEPT, FORGOTTEN, DROPPED, STRADDLES or REPEATED_ID; the last `resembles` the first document of its source with
        its id.
    """
    fates = np.full(len(staged.splits), Fate.KEPT, np.uint8)
    is_dropped = staged.splits == DROPPED
    is_first, first = keep_one_of_each(staged.keys, is_dropped.astype(np.uint8))  # whose ids others may have
    fates[staged.splits == STRADDLING] = Fate.STRADDLES
    fates[~is_first] = Fate.REPEATED_ID
    fates[_is_in(staged.texts, forgotten.texts) | _is_in(staged.keys, forgotten.keys)] = Fate.FORGOTTEN
    fates[is_dropped] = Fate.DROPPED
    return Decision(fates, np.where(fates == Fate.REPEATED_ID, first, -1))


def decide(
    staged: Staged,
    named: Decision,
    forgotten: Forgotten,
    near: NearDuplicateConfig | None,
    decontamination: DecontaminationConfig | None = None,
) -> Decision:
    """Decide what becomes of each document of a corpus.

    - FORGOTTEN: its name or its text was asked to be forgotten, or it is a near-duplicate of such a text, or a copy
      of such a near-duplicate.
    - REPEATED_ID: an earlier document of its source has its id.
    - DROPPED: cleaning dropped it. STRADDLES: it may be of either side of the cutoff. These and what has a repeated id
      are not written; those that may be of the cutoff or later still count as held out below, so that their copies are
      not trained on.
    - DUPLICATE, NEAR_DUPLICATE: it equals, or resembles, one that comes before it: held-out splits come before the
      training split, the latest first, and within a split the order is that of the documents. Across a split's border
      it is called ..._OF_HELD_OUT_TEXT. So held-out text is never trained on, and the first source's text is kept.
    - NOT_SAMPLED: `data.future_fraction` leaves it out. Until then it counts as held out: neither its copies nor what
      resembles it is trained on, and the training text is the same for every such fraction.
    - CONTAMINATED: it has an n-gram of an evaluation item that is no common phrase, and such text is to be removed.

    Memory beside `staged`: 75 bytes for each document, and for the few that share a band of their signatures what
    `find_near_duplicates` takes.

    Args:
        named: what `decide_by_name` has found.
        near: how near-duplicates are found; with None they are not, and signatures are not asked for.
        decontamination: what a common phrase is, and whether contaminated text is removed; None keeps it.
    """
    is_after = staged.splits >= SPLITS.index("future")
    is_witness = np.isin(named.fates, (Fate.DROPPED, Fate.STRADDLES)) | ((named.fates == Fate.REPEATED_ID) & is_after)
    split_rank = np.where(is_witness, np.uint8(_WITNESS), _SPLIT_RANKS[staged.splits])
    fates = np.where(is_witness, np.uint8(Fate.KEPT), named.fates)
    resembles = np.full(len(fates), -1, np.int64)
    is_chosen, chosen = keep_one_of_each(staged.texts, np.where(fates == Fate.KEPT, split_rank, _OUT))
    _mark(fates, resembles, np.flatnonzero(~is_chosen & (fates == Fate.KEPT)), chosen, split_rank, Fate.DUPLICATE)
    del is_chosen, chosen
    common = np.empty(0, np.uint64)
    if decontamination and len(staged.grams):
        common = _common_phrases(staged, forgotten, fates == Fate.KEPT, split_rank, near, decontamination)
        touched = staged.touched[~np.isin(staged.grams, common)]
        if decontamination.action == "remove":
            fates[touched[fates[touched] == Fate.KEPT]] = Fate.CONTAMINATED
    if near:
        found = _near_duplicates(staged, forgotten, fates == Fate.KEPT, split_rank, near)
        fates[found < -1] = Fate.FORGOTTEN
        copies = (resembles >= 0) & (fates[resembles] == Fate.FORGOTTEN)
        fates[copies], resembles[copies] = Fate.FORGOTTEN, -1
        _mark(fates, resembles, np.flatnonzero(found >= 0), found, split_rank, Fate.NEAR_DUPLICATE)
    fates[(staged.splits == NOT_SAMPLED) & (fates == Fate.KEPT)] = Fate.NOT_SAMPLED
    fates[is_witness], resembles[is_witness] = named.fates[is_witness], -1
    return Decision(fates, resembles, common)


def _mark(
    fates: npt.NDArray[np.uint8],
    resembles: Indices,
    gone: Indices,
    chosen: Indices,
    split_rank: npt.NDArray[np.uint8],
    fate: Fate,
) -> None:
    """Note that the documents `gone` go, each because of the one that is `chosen` for it."""
    resembles[gone] = chosen[gone]
    fates[gone] = np.where(split_rank[gone] == split_rank[chosen[gone]], fate, fate + 1)


def _near_duplicates(
    staged: Staged,
    forgotten: Forgotten,
    is_left: Mask,
    split_rank: npt.NDArray[np.uint8],
    near: NearDuplicateConfig,
) -> Indices:
    """The document that each one of those left resembles; -1 if none, and less if it is a text to be forgotten."""
    # The compiler that it needs takes half a second to import.
    from data.corpus.near_duplicates import ALWAYS_KEPT, TAKES_NO_PART, find_near_duplicates

    first = len(forgotten.signatures)
    ranks = np.full(first + len(is_left), ALWAYS_KEPT, np.uint8)
    ranks[first:] = np.where(is_left, split_rank, TAKES_NO_PART)
    found = find_near_duplicates(lambda: chain([forgotten.signatures], staged.signatures()), ranks, near)[first:]
    return np.where(found < 0, -1, np.where(found < first, -2, found - first))


def _common_phrases(
    staged: Staged,
    forgotten: Forgotten,
    is_left: Mask,
    split_rank: npt.NDArray[np.uint8],
    near: NearDuplicateConfig | None,
    decontamination: DecontaminationConfig,
) -> npt.NDArray[np.uint64]:
    """Evaluation items' n-grams that more than `common_documents` of the documents left have.

    Of near-duplicates one counts, so that an item on the many copies of a page is none.
    """

    def shared_by(documents: Mask) -> npt.NDArray[np.uint64]:
        grams, counts = np.unique(staged.grams[documents[staged.touched]], return_counts=True)
        return grams[counts > decontamination.common_documents]

    common = shared_by(is_left)
    if near and len(common):
        is_touched = np.zeros_like(is_left)
        is_touched[staged.touched] = True
        found = _near_duplicates(staged, forgotten, is_left & is_touched, split_rank, near)
        common = shared_by(is_left & (found == -1))
    return common


def keep_one_of_each(digests: Digests, rank: npt.NDArray[np.uint8]) -> tuple[Mask, Indices]:
    """Choose one of all equal digests: of the lowest rank, and of these the first.

    Args:
        digests: uint64 (documents, 2).
        rank: uint8 (documents,).

    Returns:
        Which documents are chosen, bool (documents,); and for each document the index of the one chosen among its
        equals, int64 (documents,).
    """
    order = np.lexsort((rank, digests[:, 1], digests[:, 0]))  # stable: equals stay in their order
    ordered = digests[order]
    is_first = np.ones(len(digests), dtype=np.bool_)
    is_first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    del ordered
    chosen = np.empty(len(digests), dtype=np.int64)
    chosen[order] = order[is_first][np.cumsum(is_first) - 1]
    return chosen == np.arange(len(digests)), chosen


def _is_in(digests: Digests, others: Digests) -> Mask:
    """Which of the digests are among the others."""
    wanted = {digest.tobytes() for digest in others}
    candidates = np.flatnonzero(np.isin(digests[:, 0], others[:, 0]))
    found = np.zeros(len(digests), np.bool_)
    found[[index for index in candidates if digests[index].tobytes() in wanted]] = True
    return found
