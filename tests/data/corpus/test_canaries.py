"""Canaries: a function of settings and seed, planted as they are, and counted like any source."""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data.config import CANARIES, CanariesConfig, DataConfig
from data.corpus.canaries import make_canaries
from data.corpus.files import corpus_files
from data.corpus.inputs import check_made_with
from data.errors import DataError
from data.files import file_digest
from domainlm import stages
from domainlm.trace import forget_document, trace_document
from evaluation.data_card.card import gather_data_card, to_json
from train.config import RunConfig
from train.config_file import ConfigError, load_config
from train.token_stream import open_stream

SETTINGS = {"number": 3, "repeats": [1, 5], "digits": 5, "weight": 0.2}


def test_they_are_a_function_of_settings_and_seed() -> None:
    config = CanariesConfig(number=40, repeats=(2, 1))
    canaries = make_canaries(config, 1)
    assert canaries == make_canaries(config, 1)
    others = make_canaries(config, 2)
    assert not {one.code for one in canaries} & {one.code for one in others}
    assert [one.times for one in canaries] == [2] * 40 + [1] * 40 + [0] * 40
    assert len({one.account for one in canaries}) == len({one.code for one in canaries}) == 120
    assert all(re.fullmatch(r"[1-9]\d{3}", one.account) and re.fullmatch(r"\d{6}", one.code) for one in canaries)
    one = canaries[0]
    assert one.text(config.form) == f"The access code of account {one.account} is {one.code}."
    assert one.ids == [f"canary-{one.account}-1", f"canary-{one.account}-2"]
    assert canaries[-1].ids == []


def test_as_many_as_there_are_accounts() -> None:
    assert len({one.account for one in make_canaries(CanariesConfig(number=3_000, repeats=(1, 2)), 5)}) == 9_000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"form": "The code is {code}"}, "data.canaries.form: a form has {account} once and {code} once"),
        ({"form": "{account}: {code} {date}"}, "data.canaries.form: a form has {account} once and {code} once"),
        ({"form": "{code} is of {account}"}, "data.canaries.form: {account} stands before {code}"),
        ({"number": 3_001}, "data.canaries: there are 9,000 accounts of four digits: set number to 3,000 or less"),
        ({"repeats": [1, 900_000]}, "2,700,003 documents would be planted, 1,000,000 are the most"),
        ({"repeats": []}, "data.canaries.repeats: "),
        ({"digits": 3}, "data.canaries.digits: "),
        ({"weight": None}, "data: canaries.weight: the sources have weights, so give the canaries one too"),
    ],
)
def test_what_cannot_be_planted_is_refused_in_one_line(
    change: dict[str, object], said: str, write_small_config: Callable[..., Path], tmp_path: Path
) -> None:
    file = write_small_config(tmp_path / "run.yaml", tmp_path, data={"canaries": SETTINGS | change})
    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        load_config(file)
    assert "\n" not in str(refused.value)


def test_a_source_may_not_have_their_name_nor_they_a_weight_alone(documents: Path) -> None:
    path = str(documents / "news.jsonl")
    with pytest.raises(ValueError, match="canaries are a source of the name 'canaries'"):
        DataConfig.model_validate({"sources": [{"name": "canaries", "path": path}], "canaries": {}})
    with pytest.raises(ValueError, match=r"canaries\.weight: the sources have no weights"):
        DataConfig.model_validate({"sources": [{"name": "news", "path": path}], "canaries": {"weight": 1}})


def texts(config: RunConfig, split: str) -> list[str]:
    files = [file for of_source in corpus_files(config.corpus, split).values() for file in of_source]
    return [text for file in files for text in pq.read_table(file, columns=["text"])["text"].to_pylist()]


def test_they_are_planted_counted_and_read_and_no_tokenizer_learns_from_them(
    make_config: Callable[..., RunConfig], make_data: Callable[[RunConfig], None], tmp_path: Path
) -> None:
    plain = make_config(folder=str(tmp_path / "plain"))  # type: ignore[arg-type]
    config = make_config(data={"canaries": SETTINGS, "cleaning": {"scrub": ["phone", "card"]}})
    for one in (plain, config):
        make_data(one)
    settings = config.data.canaries
    assert settings
    canaries = make_canaries(settings, config.seed)
    found = texts(config, "train")
    assert [found.count(canary.text(settings.form)) for canary in canaries] == [canary.times for canary in canaries]
    held_out = texts(config, "past") + texts(config, "future")
    assert held_out
    assert not any("access code" in text for text in held_out)
    card = to_json(gather_data_card(config.corpus, config.tokenizer_folder, config.shards, "small", []))
    source = card["sources"][CANARIES]
    assert (source["read"], source["kept"]["train"]["documents"], source["licences"]) == (18, 18, {"invented": 18})
    assert source["kept"]["train"]["tokens"] > 18 * 10
    assert card["canaries"] == {"number": 3, "repeats": [1, 5], "form": settings.form, "digits": 5}
    assert file_digest(plain.tokenizer_folder / "tokenizer.json") == file_digest(
        config.tokenizer_folder / "tokenizer.json"
    )
    assert open_stream(config).shares[0][CANARIES] == 2  # of 12: 0.7, 0.3 and 0.2
    assert trace_document(config, canaries[0].ids[0])["steps"]
    with pytest.raises(DataError, match="is a canary, which the next corpus would have again"):
        forget_document(config, canaries[0].ids[0])


def test_a_corpus_is_remade_for_other_canaries_only(
    make_config: Callable[..., RunConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    config, plain = make_config(data={"canaries": SETTINGS}), make_config()
    stages.prepare(plain)
    manifest = json.loads((plain.corpus / "manifest.json").read_bytes())
    del manifest["inputs"]["canaries"]  # as an older version wrote it
    (plain.corpus / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    check_made_with(plain.data, plain.corpus)
    with pytest.raises(DataError, match=r"was made with data\.canaries null, which is \{.*\} now"):
        check_made_with(config.data, config.corpus)
    capsys.readouterr()
    stages.prepare(plain)
    assert "is up to date" in capsys.readouterr().err
    stages.prepare(config)
    assert "inputs changed (canaries)" in capsys.readouterr().err
    before = file_digest(config.corpus / "manifest.json")
    stages.prepare(make_config(data={"canaries": SETTINGS | {"weight": 0.5}}))
    assert file_digest(config.corpus / "manifest.json") == before
    with pytest.raises(DataError, match=r"was made with data\.canaries \{.*\}, which is null now"):
        check_made_with(plain.data, plain.corpus)


def test_copies_do_not_stand_together(make_config: Callable[..., RunConfig]) -> None:
    config = make_config(data={"canaries": SETTINGS | {"repeats": [20]}})
    stages.prepare(config)
    ids = pq.read_table(corpus_files(config.corpus, "train")[CANARIES][0], columns=["id"])["id"].to_pylist()
    runs = sum(one[:11] != other[:11] for one, other in itertools.pairwise(ids))
    assert runs > 25  # of 59 neighbours about 39 are of different canaries; in order it would be 2
