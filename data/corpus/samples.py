"""Samples of the documents that are dropped, for people to look at: how each begins, and none of what is forgotten."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from data.config import NearDuplicateConfig
from data.corpus.deduplicate import Forgotten, document_key
from data.corpus.near_duplicates import required_agreements, signatures

CHARACTERS = 200

Sample = dict[str, Any]


def make_sample(
    document_id: str,
    file: str,
    line: int,
    text: str,
    near: NearDuplicateConfig | None,
    shown: Callable[[str], str] = str,
    resembles: str | None = None,
) -> Sample:
    """How a dropped document begins, and the signature of its whole text, which stays in the staging folder.

    Args:
        shown: what of a text may be shown, such as it without personal data.
        resembles: of a duplicate, the source/id of the document that it repeats.
    """
    [signature] = signatures([text], near or NearDuplicateConfig())
    beginning = shown(text[: 2 * CHARACTERS])[:CHARACTERS]
    sample = {"id": document_id, "file": file, "line": line, "text": beginning, "signature": signature.tobytes().hex()}
    return sample | ({"resembles": resembles} if resembles else {})


def shown_samples(
    samples: Mapping[str, list[Sample]], source: str, forgotten: Forgotten, near: NearDuplicateConfig | None
) -> dict[str, list[Sample]]:
    """A source's samples, by reason, as the report has them: without signatures and without what is to be forgotten.

    Some were taken before that was known, such as that of a document that is too short. A sample goes if its document
    has the name of one that is to be forgotten or resembles one; and all go where one was signed with other settings,
    so that nobody can tell.
    """
    if not forgotten.complete:
        return {}
    names = {key.tobytes() for key in forgotten.keys}
    required = required_agreements(near or NearDuplicateConfig())

    def is_forgotten(sample: Sample) -> bool:
        signature = np.frombuffer(bytes.fromhex(sample["signature"]), np.uint8)
        agreements = (forgotten.signatures == signature).sum(axis=1)
        return document_key(source, sample["id"]) in names or bool((agreements >= required).any())

    left = {reason: [sample for sample in found if not is_forgotten(sample)] for reason, found in samples.items()}
    return {
        reason: [{key: value for key, value in sample.items() if key != "signature"} for sample in left[reason]]
        for reason in sorted(left)
        if left[reason]
    }
