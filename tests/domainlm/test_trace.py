from collections.abc import Callable

import pyarrow.parquet as pq
import pytest

from data.corpus.files import corpus_files
from data.errors import DataError
from domainlm import stages
from domainlm.trace import describe, forget_document, trace_document, trace_step
from train.checkpoints.folders import CheckpointError, partial_folder, publish
from train.checkpoints.identity import to_carry
from train.config import RunConfig
from train.schedule import consumed_samples
from train.token_stream import open_stream


def ids(config: RunConfig, split: str, source: str = "news") -> list[str]:
    files = corpus_files(config.corpus, split)[source]
    return [name for file in files for name in pq.read_table(file, columns=["id"])["id"].to_pylist()]


def save(config: RunConfig, step: int, **other: str) -> None:
    """A checkpoint of the run's own data, with other bytes for weights."""
    folder = partial_folder(config.checkpoints, step)
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"weights")
    samples, stream = consumed_samples(config.training, step), open_stream(config)
    facts = to_carry(config, stream).facts | {"data_digest": stream.digest(samples)} | other
    publish(config, step, {}, samples=samples, optimizer_step=step, **facts)


def test_a_forgotten_document_leaves_the_next_corpus_and_names_what_has_seen_it(
    make_config: Callable[..., RunConfig],
) -> None:
    config = make_config(data={"past_fraction": 0.1, "workers": 1})
    stages.prepare(config)
    stages.tokenize(config)
    document = next(name for name in ids(config, "train") if 4 < (trace_document(config, name)["first_step"] or 0) < 12)
    first = trace_document(config, document)["first_step"]
    for step in (first - 1, first - 2, first, 12):
        save(config, step)
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
    save(config, 4)
    result = forget_document(config, ids(config, "future")[0])
    assert (result["first_step"], result["touched"], result["last_clean"]) == (None, [], 4)
    assert "no step of this run sees it" in describe(result)


def test_what_was_trained_on_other_data_is_not_traced_in_those_that_are_there_now(
    make_config: Callable[..., RunConfig],
) -> None:
    config, earlier = make_config(), make_config(data={"cutoff": "2010-01-01"})
    stages.prepare(config)
    stages.tokenize(config)
    save(config, 4)
    stages.prepare(earlier)
    stages.tokenize(earlier)
    document = ids(earlier, "future")[0]  # the checkpoint has trained on most of them
    for traced in (lambda: trace_document(earlier, ids(earlier, "train")[0]), lambda: trace_step(earlier, 3)):
        with pytest.raises(
            CheckpointError, match=r"data.cutoff was 2017-01-01, now 2010-01-01; the data .* was .*, now"
        ):
            traced()
    result = forget_document(earlier, document)
    assert (result["added"], result["touched"], result["last_clean"]) == (1, [4], None)
    assert "the data there now are not those that the checkpoints were trained on: any may" in describe(result)
