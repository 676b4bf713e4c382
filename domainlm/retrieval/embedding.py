"""An embedding model out of a local folder in the format of sentence-transformers; nothing is fetched."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.errors import DataError, one_line
from data.files import file_digest, value_digest
from data.retrieval.vectors import Embedder, Vectors

MODULES = "modules.json"
INSTALL = "pip install 'domainlm[retrieval]'"


def load_embedder(folder: Path) -> Embedder:
    """The model, on the CPU.

    Its own prompts for documents and questions are used where it has some.

    Raises:
        DataError: the folder is no such model, cannot be read, or sentence-transformers is not installed.
    """
    if not (folder / MODULES).is_file():
        raise DataError(f"retrieval.embedding: {folder} is no model of sentence-transformers, it has no {MODULES}")
    files = sorted(file for file in folder.rglob("*") if file.is_file() and ".git" not in file.parts)
    digest = value_digest({file.relative_to(folder).as_posix(): file_digest(file) for file in files})
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise DataError(f"retrieval.embedding needs sentence-transformers ({error}): {INSTALL}") from None
    try:
        json.loads((folder / MODULES).read_bytes())
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True, trust_remote_code=False)
        dimension = model.get_embedding_dimension()
    except Exception as error:  # of transformers, safetensors and others, for every kind of damage
        raise DataError(f"retrieval.embedding: {folder} cannot be loaded: {one_line(error)}") from None
    if not dimension:
        raise DataError(f"retrieval.embedding: {folder} does not say how many numbers its embeddings have")

    def passages(texts: Sequence[str]) -> Vectors:
        made = model.encode_document(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(made, np.float32)

    def question(text: str) -> Vectors:
        made = model.encode_query(text, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(made, np.float32)

    return Embedder(digest, dimension, passages, question)
