"""How passages are cut and found: the `retrieval` section of a run."""

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

Method = Literal["bm25", "dense", "hybrid"]


class RetrievalConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What `domainlm retrieve` makes of the corpus; nothing here changes what is trained."""

    passage_words: int = Field(default=160, ge=20, le=2_000)
    """Words of a passage, about: paragraphs are joined up to so many, and one of over half as many again is cut at a
    line, a sentence or a space."""
    embedding: str | None = None
    """Folder of an embedding model in the format of sentence-transformers, for dense and hybrid search. None: bm25."""
    method: Method | None = None
    """bm25: by the words that question and passage share; dense: by the likeness of their embeddings; hybrid: by the
    ranks of both. None: hybrid with an embedding model, bm25 without."""
    least_similarity: float = Field(default=0.0, ge=-1, le=1)
    """Cosine of the embeddings of question and passage up to which a passage is none that was found: what unrelated
    texts have differs from model to model."""

    @model_validator(mode="after")
    def _vectors_have_a_model(self) -> Self:
        if self.method in ("dense", "hybrid") and self.embedding is None:
            raise ValueError(f"method {self.method} needs `embedding`, the folder of an embedding model")
        return self

    @property
    def chosen(self) -> Method:
        """The method that is used."""
        return self.method or ("hybrid" if self.embedding else "bm25")
