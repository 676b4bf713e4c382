"""A tiny embedding model of sentence-transformers in a folder: used with its own prompts, refused when broken."""

import json
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from data.errors import DataError
from domainlm.retrieval.embedding import load_embedder

WORDS = ["[PAD]", "[UNK]", "query", ":", "the", "bank", "raised", "rates", "wool", "tariff"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embedding")
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner = folder / "inner"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(inner)
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **shape)).save_pretrained(inner)
    model = SentenceTransformer(
        modules=[Transformer(str(inner)), Pooling(8)], prompts={"query": "query: "}, device="cpu"
    )
    model.save(str(folder / "model"))
    return folder / "model"


def test_embeddings_are_those_of_sentence_transformers_with_its_prompts(folder: Path) -> None:
    embedder, peer = load_embedder(folder), SentenceTransformer(str(folder), device="cpu")
    texts = ["the bank raised rates", "wool tariff"]
    made = embedder.passages(texts)
    assert (made.shape, made.dtype, embedder.dimension) == ((2, 8), np.float32, 8)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(made, peer.encode(texts, normalize_embeddings=True), rtol=1e-5, atol=1e-6)
    asked = peer.encode("query: wool", normalize_embeddings=True)
    np.testing.assert_allclose(embedder.question("wool"), asked, rtol=1e-5, atol=1e-6)


def test_a_model_that_has_changed_has_another_digest_and_a_damaged_one_is_refused(folder: Path) -> None:
    before = load_embedder(folder).digest
    assert load_embedder(folder).digest == before
    settings = folder / "config_sentence_transformers.json"
    content = settings.read_text("utf-8")
    settings.write_text(json.dumps(json.loads(content) | {"prompts": {}}), "utf-8")
    assert load_embedder(folder).digest != before
    settings.write_text(content, "utf-8")
    weights = next(folder.rglob("model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(DataError, match=r"retrieval\.embedding: .* cannot be loaded: "):
        load_embedder(folder)
