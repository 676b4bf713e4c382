"""Embeddings are kept by text: what was encoded is not encoded again, also when a build was interrupted."""

from pathlib import Path

import numpy as np
import pytest

from data.errors import DataError
from data.retrieval.vectors import BATCH, Embedder, embed_passages, vectors_file


class Model:
    """Notes what it was asked to encode."""

    def __init__(self, fail_after: int = 10**9) -> None:
        self.asked: list[str] = []
        self.fail_after = fail_after

    def embedder(self, digest: str = "a") -> Embedder:
        return Embedder(digest, 2, self.encode, lambda text: self.encode([text])[0])

    def encode(self, texts: list[str]) -> np.ndarray:
        if len(self.asked) >= self.fail_after:
            raise KeyboardInterrupt
        self.asked += texts
        return np.array([[len(text), sum(map(ord, text))] for text in texts], np.float32)


def embed(folder: Path, model: Model, texts: list[str], digest: str = "a") -> np.ndarray:
    embed_passages(folder, model.embedder(digest), len(texts), lambda place: texts[place].encode())
    made = np.load(vectors_file(folder, digest))
    np.testing.assert_array_equal(made, Model().encode(texts))
    return made


def test_only_new_texts_are_encoded(tmp_path: Path) -> None:
    model = Model()
    embed(tmp_path, model, ["one", "two", "one"])
    assert model.asked == ["one", "two"]
    embed(tmp_path, model, ["three", "two"])
    assert model.asked == ["one", "two", "three"]
    embed(tmp_path, model, ["two", "one"])
    assert model.asked[3:] == ["one"], "what was no passage any more has gone"
    embed(tmp_path, model, ["two"], digest="b")
    assert model.asked[4:] == ["two"], "another model"
    assert not list(tmp_path.glob("*-a*"))


def test_an_interrupted_build_goes_on(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(3 * BATCH)]
    with pytest.raises(KeyboardInterrupt):
        embed(tmp_path, Model(fail_after=2 * BATCH), texts)
    with next(tmp_path.glob("begun-*")).open("ab") as file:
        file.write(b"half an entry")
    model = Model()
    embed(tmp_path, model, texts)
    assert model.asked == texts[2 * BATCH :]
    assert not list(tmp_path.glob("begun-*"))


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    broken = Embedder("a", 2, lambda texts: np.full((len(texts), 2), np.nan, np.float32), lambda text: np.zeros(2))
    with pytest.raises(DataError, match="not finite"):
        embed_passages(tmp_path, broken, 1, lambda place: b"text")
