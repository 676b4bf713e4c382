"""Which of several equal documents is kept: decided on arrays of digests alone, without their texts."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

KEPT, DUPLICATE, HELD_OUT_DUPLICATE, REPEATED_ID = range(4)  # what becomes of a document

Digests = npt.NDArray[np.uint64]  # (documents, 2): the halves of a digest of 128 bits
Mask = npt.NDArray[np.bool_]


def as_digests(digests: bytes | bytearray) -> Digests:
    """View digests of 16 bytes, one after the other, as an array (documents, 2)."""
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 2)


def keep_one_of_each(digests: Digests, rank: npt.NDArray[np.uint8]) -> tuple[Mask, npt.NDArray[np.int64]]:
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
    chosen = np.empty(len(digests), dtype=np.int64)
    chosen[order] = order[is_first][np.cumsum(is_first) - 1]
    return chosen == np.arange(len(digests)), chosen


def find_duplicates(texts: Digests, ids: Sequence[Digests], splits: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Decide what becomes of each document of a corpus.

    Of equal texts the one of the highest split stays, so that held-out text is never trained on, and of these the
    first. An id may stand once in a source; the documents that repeat it are out before texts are compared.

    Args:
        texts: digests of the texts of all sources, one source after the other.
        ids: digests of the ids, for each source.
        splits: uint8 (documents,), later-held-out splits higher.

    Returns:
        KEPT, DUPLICATE, HELD_OUT_DUPLICATE (equal to a text of another split, which is kept) or REPEATED_ID for each
        document, uint8 (documents,).
    """
    first_of_id = np.concatenate([keep_one_of_each(source, np.zeros(len(source), np.uint8))[0] for source in ids])
    rank = np.where(first_of_id, splits.max(initial=0) - splits, np.iinfo(np.uint8).max).astype(np.uint8)
    is_kept, chosen = keep_one_of_each(texts, rank)
    fates = np.where(splits == splits[chosen], DUPLICATE, HELD_OUT_DUPLICATE)
    fates[is_kept] = KEPT
    fates[~first_of_id] = REPEATED_ID
    return fates.astype(np.uint8)
