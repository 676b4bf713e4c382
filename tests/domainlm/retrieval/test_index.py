"""`domainlm retrieve`: the index of a run's training text, and the passages that it shows."""

import datetime
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from domainlm.retrieval.index import bound_of
from train.config import RunConfig
from train.config_file import ConfigError, load_config

CommandLine = Callable[..., tuple[int, str, str]]


def test_the_index_is_made_and_asked(run: Path, command_line: CommandLine) -> None:
    code, shown, _ = command_line("retrieve", run)
    assert (code, "documents" in shown) == (0, True)
    made = json.loads(command_line("retrieve", run, "--json")[1])["index"]
    assert made["documents"] > 100
    assert made["passages"] >= made["documents"]
    words = ("harbour", "traffic", "recovered", "--passages", "3", "--date", "2005-12-31")
    result = json.loads(command_line("retrieve", run, *words, "--json")[1])
    assert result["question"] == "harbour traffic recovered"
    assert len(result["passages"]) == 3
    scores = [passage["score"] for passage in result["passages"]]
    assert scores == sorted(scores, reverse=True)
    assert all(passage["last_date"] <= "2005-12-31" and passage["source"] == "news" for passage in result["passages"])
    undated = json.loads(command_line("retrieve", run, *words, "--undated", "--passages", "999", "--json")[1])
    assert {passage["source"] for passage in undated["passages"]} == {"news", "general"}
    first = result["passages"][0]
    _, shown, _ = command_line("retrieve", run, *words)
    assert (
        f"[1] news  {first['id']}  {first['last_date']}  score {first['score']:.3f}\n    {first['passage'][:40]}"
        in shown
    )
    assert command_line("retrieve", run, "xylophone")[1] == "nothing relevant was found\n"


def test_what_is_wrong_is_one_line(run: Path, tmp_path: Path, command_line: CommandLine) -> None:
    for words, expected in (
        ([""], "the question is empty"),
        (["…"], "has no word"),
        (["wool", "--undated"], "--undated is for a question with a --date"),
        (["wool", "retrieval.method=dense"], "method dense needs `embedding`"),
        (["wool", f"retrieval.embedding={tmp_path}"], "is no model of sentence-transformers, it has no modules.json"),
        (["wool", "data.past_fraction=0.2"], "data.past_fraction 0.1, which is 0.2 now"),
    ):
        code, _, said = command_line("retrieve", run, *words)
        assert (code, expected in said.splitlines()[-1]) == (2, True), said
    shutil.rmtree(tmp_path / "data" / "corpus")
    code, _, said = command_line("retrieve", run, "wool")
    assert (code, "run `domainlm prepare CONFIG` first" in said) == (2, True)


def test_what_a_question_may_see(make_config: Callable[..., RunConfig]) -> None:
    config, day = make_config(), datetime.date(2010, 1, 1)
    assert bound_of(config, None) == (type(bound_of(config, day)))(datetime.date(2017, 1, 1), undated=True)
    assert (bound_of(config, day).date, bound_of(config, day).undated) == (day, False)
    assert bound_of(config, day, undated=True).undated
    with pytest.raises(ConfigError, match="--undated is for a question with a --date"):
        bound_of(config, None, undated=True)


def test_settings_of_retrieval_are_checked(run: Path) -> None:
    assert load_config(run, ["retrieval.embedding=model"]).retrieval.chosen == "hybrid"
    assert load_config(run).retrieval.chosen == "bm25"
    with pytest.raises(ConfigError, match=r"retrieval\.passage_words"):
        load_config(run, ["retrieval.passage_words=3"])
