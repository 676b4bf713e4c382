"""A run whose corpus may be indexed, and a tiny embedding model."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

WORDS = ["[PAD]", "[UNK]", "query", ":", "the", "bank", "raised", "rates", "wool", "tariff"]


@pytest.fixture
def run(write_small_config: Callable[..., Path], data_folder: Path, tmp_path: Path) -> Path:
    """A run with the shared corpus and an index of its own."""
    shutil.copytree(data_folder / "corpus", tmp_path / "data" / "corpus")
    return write_small_config(tmp_path / "run.yaml", tmp_path / "run", data={"folder": str(tmp_path / "data")})


@pytest.fixture
def embedding(tmp_path: Path) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    folder = tmp_path / "embedding"
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
