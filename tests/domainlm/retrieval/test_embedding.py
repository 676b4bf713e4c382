"""A tiny embedding model of sentence-transformers in a folder: used with its own prompts, refused when broken."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from data.errors import DataError
from domainlm.retrieval.embedding import load_embedder

CommandLine = Callable[..., tuple[int, str, str]]


def test_embeddings_are_those_of_sentence_transformers_with_its_prompts(embedding: Path) -> None:
    embedder, peer = load_embedder(embedding), SentenceTransformer(str(embedding), device="cpu")
    texts = ["the bank raised rates", "wool tariff"]
    made = embedder.passages(texts)
    assert (made.shape, made.dtype, embedder.dimension) == ((2, 8), np.float32, 8)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(made, peer.encode(texts, normalize_embeddings=True), rtol=1e-5, atol=1e-6)
    asked = peer.encode("query: wool", normalize_embeddings=True)
    np.testing.assert_allclose(embedder.question("wool"), asked, rtol=1e-5, atol=1e-6)


def test_a_run_is_searched_by_words_and_by_meaning(run: Path, embedding: Path, command_line: CommandLine) -> None:
    setting = f"retrieval.embedding={embedding}"
    alike = "retrieval.least_similarity=-1"  # a model of random weights gives any cosine
    result = json.loads(command_line("retrieve", run, setting, alike, "the bank raised rates", "--json")[1])
    (first, *_), again = result["passages"], json.loads(command_line("retrieve", run, setting, alike, "--json")[1])
    assert again["index"] == result["index"]
    assert 1 / 61 < first["score"] <= 2 / 61, "the sum of two reciprocal ranks"
    words = ("The bank", "--retrieve", "1")
    code, _, said = command_line("generate", run, *words)
    assert (code, "changed: retrieval.embedding): run `domainlm retrieve CONFIG`" in said) == (2, True)
    (embedding / "README.md").write_text("another model", "utf-8")
    code, _, said = command_line("generate", run, setting, *words)
    assert (code, "changed: retrieval.embedding): run `domainlm retrieve CONFIG`" in said) == (2, True)
    command_line("retrieve", run)
    assert not list((run.parent / "data" / "retrieval").glob("vectors*")), "without a model, no embeddings are left"


def test_a_model_that_has_changed_has_another_digest_and_a_damaged_one_is_refused(embedding: Path) -> None:
    before = load_embedder(embedding).digest
    assert load_embedder(embedding).digest == before
    settings = embedding / "config_sentence_transformers.json"
    content = settings.read_text("utf-8")
    settings.write_text(json.dumps(json.loads(content) | {"prompts": {}}), "utf-8")
    assert load_embedder(embedding).digest != before
    settings.write_text(content, "utf-8")
    weights = next(embedding.rglob("model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(DataError, match=r"retrieval\.embedding: .* cannot be loaded: "):
        load_embedder(embedding)
