from collections.abc import Callable

import pyarrow.parquet as pq
import pytest

from data.corpus.files import corpus_files
from data.errors import DataError
from domainlm import stages
from domainlm.trace import describe, forget_document, trace_document
from train.config import RunConfig


def ids(config: RunConfig, split: str, source: str = "news") -> list[str]:
    files = corpus_files(config.corpus, split)[source]
    return [name for file in files for name in pq.read_table(file, columns=["id"])["id"].to_pylist()]


def test_a_forgotten_document_leaves_the_next_corpus_and_names_what_has_seen_it(
    make_config: Callable[..., RunConfig],
) -> None:
    config = make_config(data={"past_fraction": 0.1, "workers": 1})
    stages.prepare(config)
    stages.tokenize(config)
    document = next(name for name in ids(config, "train") if 4 < (trace_document(config, name)["first_step"] or 0) < 12)
    first = trace_document(config, document)["first_step"]
    for step in (first - 1, first - 2, first, 12):
        (config.checkpoints / f"step_{step:06d}").mkdir(parents=True)
    (config.checkpoints / "damaged_step_000010").mkdir()
    result = forget_document(config, document)
    assert (result["sources"], result["added"], result["first_step"]) == (["news"], 1, first)
    assert result["touched"] == [first, 12]
    assert result["last_clean"] == first - 1
    assert "set aside may have seen it, delete them: damaged_step_000010" in describe(result)
    assert f"the last that has not: step {first - 1}" in describe(result)
    assert forget_document(config, document)["added"] == 0
    before = ids(config, "train")
    report = stages.prepare(config)
    assert report["sources"]["news"]["dropped"]["forgotten"] >= 1
    assert set(before) - set(ids(config, "train")) >= {document}
    with pytest.raises(DataError, match=f"no document of the corpus in .* has the id '{document}'"):
        forget_document(config, document)


def test_held_out_text_touches_no_checkpoint(make_config: Callable[..., RunConfig]) -> None:
    config = make_config(data={"workers": 1})
    stages.prepare(config)
    stages.tokenize(config)
    (config.checkpoints / "step_000004").mkdir(parents=True)
    result = forget_document(config, ids(config, "future")[0])
    assert (result["first_step"], result["touched"], result["last_clean"]) == (None, [], 4)
    assert "no step of this run sees it" in describe(result)
