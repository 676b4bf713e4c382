from pathlib import Path
from typing import Any

import pytest

from data.config import DataConfig
from data.corpus.build import prepare_corpus
from data.corpus.inputs import check_made_with
from data.errors import DataError
from tests.data.corpus.test_build import config_of, record, write_jsonl


def changed(config: DataConfig, **settings: Any) -> DataConfig:
    return DataConfig.model_validate(config.model_dump(mode="json") | settings)


def test_a_corpus_is_of_its_settings(tmp_path: Path) -> None:
    config = config_of(write_jsonl(tmp_path / "a.jsonl", [record(number) for number in range(100)]))
    corpus = tmp_path / "corpus"
    prepare_corpus(config, corpus, seed=1)
    check_made_with(config, corpus)
    check_made_with(changed(config, workers=1, period="month", packing="concatenate"), corpus)
    [source] = config.model_dump(mode="json")["sources"]
    for settings, said in (
        ({"cutoff": "2018-01-01"}, 'data.cutoff null, which is "2018-01-01" now'),
        ({"cleaning": {"scrub": ["email"]}}, 'data.cleaning .*"scrub": .*, which is .*"email".* now'),
        (
            {"sources": [source | {"undated": "quarantine"}]},
            r'data.sources.source_0.undated "\w+", which is "quarantine"',
        ),
        ({"sources": [source | {"language": "en"}]}, 'data.sources.source_0.language null, which is "en" now'),
        (
            {"sources": [source, source | {"name": "more"}]},
            r'data.sources \["source_0"\], which is \["source_0", "more"\]',
        ),
    ):
        with pytest.raises(DataError, match=rf"{corpus} was made with {said}.*run `domainlm prepare CONFIG`"):
            check_made_with(changed(config, **settings), corpus)
    check_made_with(changed(config, cutoff="2018-01-01"), tmp_path / "none")  # what is not there is said elsewhere
