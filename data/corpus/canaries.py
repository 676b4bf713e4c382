"""Canaries: invented secrets that are planted in the training text so many times, for an audit to ask for.

After Carlini et al. 2019, The Secret Sharer (arXiv 1802.08232, §4): a form with a random part. They come when all else
is decided: they are not cleaned, their copies are no duplicates, and no tokenizer learns from them.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.config import ACCOUNTS, CANARIES, CanariesConfig
from data.corpus.counts import NO_DATE, Counts
from data.corpus.files import CORPUS_SCHEMA
from data.corpus.write_kept import Kept
from data.files import atomic_write
from data.source_config import SourceConfig

LICENCE = "invented"
SOURCE = SourceConfig(name=CANARIES, path="data.canaries", licence=LICENCE, undated="train")
"""What the report says of where they come from."""
STRIDE = 7_919  # prime to ACCOUNTS: so many steps of it give as many accounts


@dataclass(frozen=True)
class Canary:
    """A secret and its place.

    Attributes:
        times: how often it is planted; 0 for one that never is, and shows what chance gives.
    """

    account: str
    code: str
    times: int

    def text(self, form: str, code: str | None = None) -> str:
        """The document; with another code, what could as well have been planted."""
        return form.replace("{account}", self.account).replace("{code}", code or self.code)

    @property
    def ids(self) -> list[str]:
        """Of its copies."""
        return [f"canary-{self.account}-{copy}" for copy in range(1, self.times + 1)]


def make_canaries(config: CanariesConfig, seed: int) -> list[Canary]:
    """All canaries of a run, those that are never planted last: a function of settings and seed alone."""
    times = [count for count in (*config.repeats, 0) for _ in range(config.number)]
    first = _draw(seed, "account") % ACCOUNTS
    return [
        Canary(
            account=f"{1_000 + (first + number * STRIDE) % ACCOUNTS}",
            code=f"{_draw(seed, f'code {number}') % 10**config.digits:0{config.digits}d}",
            times=count,
        )
        for number, count in enumerate(times)
    ]


def plant(config: CanariesConfig, seed: int, corpus: Path) -> tuple[Path, Kept]:
    """Write the canaries' copies as documents of the training split, in an order drawn with the seed.

    Returns:
        The file, and the account of them as of any source.
    """
    copies = sorted(_copies(config, seed), key=lambda copy: _draw(seed, copy[0]))
    ids, texts = (list(column) for column in zip(*copies, strict=True))
    none = [None] * len(ids)
    columns = {"id": ids, "text": texts, "source": [CANARIES] * len(ids), "licence": [LICENCE] * len(ids)}
    file = corpus / "train" / CANARIES / "00000.parquet"
    with atomic_write(file) as opened:
        table = pa.table(dict.fromkeys(CORPUS_SCHEMA.names, none) | columns, schema=CORPUS_SCHEMA)
        pq.write_table(table, opened, compression="zstd")
    kept = Kept(counts=Counts(read=len(ids), undated=len(ids)))
    kept.precisions[NO_DATE] = len(ids)
    kept.licences[LICENCE] = len(ids)
    sizes = {"characters": sum(map(len, texts)), "bytes": sum(len(text.encode()) for text in texts)}
    kept.add("train", {"documents": len(ids), **sizes, "first_date": None, "last_date": None})
    return file, kept


def _copies(config: CanariesConfig, seed: int) -> Iterator[tuple[str, str]]:
    """Id and text of each document that is planted."""
    for canary in make_canaries(config, seed):
        for document in canary.ids:
            yield document, canary.text(config.form)


def _draw(seed: int, what: str) -> int:
    """A number of 64 bits."""
    return int.from_bytes(hashlib.blake2b(f"canaries:{seed}:{what}".encode(), digest_size=8).digest(), "big")
