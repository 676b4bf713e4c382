"""The run's stream: stages and reshuffles at their steps; shards that do not fit the run are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.errors import DataError
from data.shards.documents import newest_date, read_documents
from data.shards.format import read_manifest
from data.tokenizer.build import build_tokenizer, check_made_with
from domainlm.plan.build import plan
from train.config import RunConfig
from train.token_stream import open_stream

Make = Callable[..., RunConfig]
MakeData = Callable[[RunConfig], None]


def test_stages_and_reshuffles_begin_at_their_step(make_config: Make, make_data: MakeData) -> None:
    config = make_config()
    make_data(config)
    stage = {"from_step": 7, "weights": {"news": 0.0, "general": 1.0}}
    changed = make_config(data={"stages": [stage], "reshuffles": {4: 1}})
    plain, stream = open_stream(config), open_stream(changed)
    assert list(stream.shares) == [0, 48]
    assert stream.reshuffles == {24: 1}
    assert stream.digest(24) == plain.digest(24)
    assert {pieces[0].source for pieces in stream.pieces(48, 48)} == {"general"}
    before = plain.epochs(48)["news"] * plain.passes["news"]
    assert plan(changed).mixture["news"] == pytest.approx(before / 96)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_alpha_mixes_sources_by_a_power_of_their_tokens(make_config: Make, make_data: MakeData, alpha: float) -> None:
    given = make_config()
    make_data(given)
    sources = [source | {"weight": None} for source in given.model_dump(mode="json")["data"]["sources"]]
    stream = open_stream(make_config(data={"sources": sources, "alpha": alpha}))
    tokens = {name: source.tokens for name, source in read_manifest(given.shards).splits["train"].items()}
    powers = {name: count**alpha for name, count in tokens.items()}
    period = sum(stream.shares[0].values())
    for name, share in stream.shares[0].items():
        assert share / period == pytest.approx(powers[name] / sum(powers.values()), abs=1 / period)


def test_given_shards_of_a_later_cutoff_are_refused(make_config: Make, make_data: MakeData, tmp_path: Path) -> None:
    """What was trained then was recorded with the earlier cutoff, and later text held to be new to the weights."""
    made = make_config()
    make_data(made)
    given = {"shards": str(made.shards), "folder": str(tmp_path / "none")}
    open_stream(make_config(data=given))
    source = read_manifest(made.shards).source("train", "news")
    newest = max(filter(None, (newest_date(made.shards / file.documents_path) for file in source.files)))
    rows = [row for file in source.files for row in read_documents(made.shards / file.documents_path).to_pylist()]
    assert newest == max(row["last_date"] for row in rows if row["last_date"])
    with pytest.raises(DataError, match=rf"its training text goes up to {newest}, and data.cutoff is {newest}: set it"):
        open_stream(make_config(data=given | {"cutoff": newest.isoformat()}))


def test_shards_that_are_not_packed_are_refused(make_config: Make, make_data: MakeData) -> None:
    make_data(make_config())
    with pytest.raises(DataError, match=r"packed/concatenate-32/manifest.json does not exist: run `domainlm tokenize"):
        open_stream(make_config(data={"packing": "concatenate"}))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"digits": "runs"}, 'tokenizer.digits "single", which is "runs" now'),
        ({"vocabulary_size": 390}, "tokenizer.vocabulary_size 400, which is 390 now"),
        (
            {"pretokenization": "bloomberggpt", "kind": "unigram"},
            'kind "bpe", which is "unigram" now; tokenizer.pretok',
        ),
    ],
)
def test_settings_that_the_tokenizer_was_not_made_with_are_refused(
    make_config: Make, data_folder: Path, changed: dict[str, Any], message: str
) -> None:
    """A run would write down another tokenizer than that of its ids."""
    shared = {"folder": str(data_folder)}
    sections: dict[str, Any] = {"data": shared, "tokenizer": changed}
    with pytest.raises(DataError, match=message) as refused:
        open_stream(make_config(**sections))
    assert "run `domainlm tokenize CONFIG`, or undo the change" in str(refused.value)
    open_stream(make_config(data=shared | {"shards": str(data_folder / "shards")}, tokenizer=changed))
    measured = {"compare": {"own": str(data_folder / "tokenizer")}, "sweep": [300]}
    open_stream(make_config(data=shared, tokenizer=measured))


def test_a_given_tokenizer_is_compared_by_its_content(make_config: Make, data_folder: Path, tmp_path: Path) -> None:
    given, other = tmp_path / "given.json", tmp_path / "other.json"
    content = (data_folder / "tokenizer" / "tokenizer.json").read_text()
    given.write_text(content)
    other.write_text(content + "\n")
    config = make_config(tokenizer={"path": str(given), "digits": "runs"}).tokenizer
    build_tokenizer(config, data_folder / "corpus", tmp_path / "made")
    given.rename(tmp_path / "moved.json")
    for same in (str(given), str(tmp_path / "moved.json")):
        check_made_with(config.model_copy(update={"path": same, "digits": "single"}), tmp_path / "made")
    for changed in ({"path": str(other)}, {"path": None}):
        with pytest.raises(DataError, match=r"made with tokenizer.*path_digest"):
            check_made_with(config.model_copy(update=changed), tmp_path / "made")


def test_a_vocabulary_larger_than_the_models_is_refused(make_config: Make, make_data: MakeData) -> None:
    make_data(make_config())
    smaller = make_config(model={"vocabulary_size": 300}, tokenizer={"vocabulary_size": 300})
    with pytest.raises(DataError, match=r"token ids go up to 399, but model.vocabulary_size is 300: set it to 400"):
        open_stream(smaller)
