"""The configuration: every shipped file is good, every mistake is one clear line."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.models import BLOOM, shape
from train.config import CHECKOUT, RunConfig, to_yaml
from train.config_file import ConfigError, differences, load_config

SHIPPED = sorted((CHECKOUT / "configs").glob("*.yaml"))

GOOD: dict[str, Any] = {
    "name": "small",
    "data": {"sources": [{"name": "news", "path": "news.jsonl", "weight": 1.0}]},
    "tokenizer": {"vocabulary_size": 512},
    "model": shape(layers=2, width=32, heads=2, vocabulary_size=512, sequence_length=32) | BLOOM,
    "training": {
        "steps": 10,
        "batch_size": 4,
        "micro_batch": 2,
        "learning_rate": 1e-3,
        "deepspeed": "configs/deepspeed/zero1.json",
    },
}


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is a folder: name the run's YAML file"):
        load_config(tmp_path)


def write(folder: Path, content: Any) -> Path:
    file = folder / "run.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return file


def changed(**sections: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(GOOD))
    for name, change in sections.items():
        content[name] = content[name] | change if isinstance(content.get(name), dict) else change
    return content


def refusal(folder: Path, content: Any, *overrides: str) -> str:
    file = write(folder, content)
    with pytest.raises(ConfigError) as caught:
        load_config(file, overrides)
    return str(caught.value).replace(str(file), "FILE")


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_every_shipped_configuration_loads_and_survives_a_round_trip(file: Path, tmp_path: Path) -> None:
    config = load_config(file)
    assert load_config(write(tmp_path, to_yaml(config))) == config


def test_shipped_configurations_of_the_published_recipe() -> None:
    config = load_config(CHECKOUT / "configs" / "bloomberggpt-50b.yaml")
    assert config.training.betas == (0.9, 0.95)
    assert config.training.weight_decay == 0.1
    assert config.training.gradient_clipping == 0.3
    assert config.training.zero_stage == 3


def test_overrides_win_and_reach_list_items_by_name(tmp_path: Path) -> None:
    config = load_config(
        write(tmp_path, GOOD),
        ["training.learning_rate=3e-4", "data.sources.news.path=other.jsonl", "data.sources.0.weight=2", "name=b"],
    )
    assert config.training.learning_rate == 3e-4
    assert config.data.sources[0].path == "other.jsonl"
    assert config.data.sources[0].weight == 2
    assert config.run_folder == Path("runs/b")


def test_a_preset_is_completed_by_the_file(tmp_path: Path) -> None:
    content = changed(tokenizer={"vocabulary_size": 32768})
    content["model"] = {"preset": "bbg-125m", "dropout": 0.1}
    model = load_config(write(tmp_path, content)).model
    assert (model.layers, model.width, model.dropout) == (12, 768, 0.1)


def test_deepspeed_is_passed_through(tmp_path: Path) -> None:
    settings = {"zero_optimization": {"stage": 2, "reduce_bucket_size": 1000}, "train_batch_size": "auto"}
    config = load_config(write(tmp_path, changed(training={"deepspeed": settings})))
    assert config.training.deepspeed == {"zero_optimization": {"stage": 2, "reduce_bucket_size": 1000}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(model={"layer": 3}), "FILE: model.layer: unknown key; did you mean `layers`?"),
        (changed(lora={"rank": 4}), "FILE: lora adapts the weights of a base, and there is none: set init_from to its"),
        (
            changed(init_from="models/base", training={"tuned_at": {"width": 16}}),
            "FILE: training.tuned_at belongs to initial values that are drawn by it",
        ),
        (changed(training={"tuned_at": {"layers": 2}}), "FILE: training.tuned_at.width: this key is required"),
        (changed(training={"tuned_at": 64}), "tuned_at: input should be a section of keys with values (got 64)"),
        (
            changed(training={"micro_batch": "Auto"}),
            "micro_batch: input should be a valid integer or auto (got 'Auto')",
        ),
        (
            changed(training={"batch_size": "lots"}),
            "batch_size: input should be a valid integer or a section of keys with values (got 'lots')",
        ),
        (changed(training={"batch_size": {"a": 8}}), "FILE: training.batch_size.a: input should be a valid integer"),
        (
            changed(training={"activation_checkpointing": -1}),
            "activation_checkpointing: input should be a valid boolean or greater than 0 or 'selective' (got -1)",
        ),
        (changed(training={"keep_best": "now"}), "FILE: training.keep_best: string should match pattern"),
        (changed(lora={"rnak": 4}), "FILE: lora.rnak: unknown key; did you mean `rank`?"),
        (changed(lora={"targets": ["q_proj"]}), "FILE: lora.targets.0: input should be 'attention' or 'feed_forward'"),
        (changed(model={"zzz": 3}), "FILE: model.zzz: unknown key; known are layers"),
        (changed(trainings={"steps": 1}), "FILE: trainings: unknown key; did you mean `training`?"),
        (changed(data={"sources": [{"name": "a", "paht": "b"}]}), "paht: unknown key; did you mean `path`?"),
        (changed(training={"learning_rate": "fast"}), "FILE: training.learning_rate: input should be a valid number"),
        (changed(training={"learning_rate": -1}), "input should be greater than 0 (got -1)"),
        (changed(training={"schedule": "linear"}), "input should be 'cosine' or 'wsd' (got 'linear')"),
        (changed(model={"heads": 7}), "heads=7 must divide width=32"),
        (changed(tokenizer={"vocabulary_size": 1024}), "1024 does not fit model.vocabulary_size 512: make them equal"),
        (changed(training={"batch_size": 5}), "batch_size 5 is not a multiple of micro_batch 2"),
        (changed(training={"batch_size": {5: 4}}), "a batch-size schedule starts at step 0"),
        (changed(training={"warmup_steps": 10}), "warmup_steps 10 leaves nothing of steps 10"),
        (changed(training={"minimum_learning_rate": 1}), "minimum_learning_rate 1.0 is above learning_rate 0.001"),
        (changed(training={"precision": "bf16", "deepspeed": {}}), "bf16 needs ZeRO stage 1, 2 or 3"),
        (changed(training={"deepspeed": {"gradient_clipping": 1.0}}), "set training.gradient_clipping"),
        (changed(training={"deepspeed": "no.json"}), "FILE: training.deepspeed: no such file: no.json"),
        (
            changed(training={"deepspeed": {"zero_optimization": True}}),
            "`zero_optimization` is a section with a `stage`",
        ),
        (changed(training={"learning_rate": True}), "FILE: training.learning_rate: should be a number (got True)"),
        (
            changed(training={"batch_size": {0: 4, 5: True}, "micro_batch": 1}),
            "training.batch_size.5: should be a numb",
        ),
        (changed(data={"sources": [{"name": "a", "path": "b", "weight": True}]}), "data.sources.0.weight: should be a"),
        (changed(model={"preset": "bbg-125"}), "FILE: model.preset: unknown key; did you mean `bbg-125m`?"),
        ("name: a\nname: b\n", "FILE: line 2: key given twice: name"),
        (
            "name: a\ntraining: {steps: 0500}\n",
            "FILE: line 2: 0500 is octal or of base 60 in YAML 1.1: write the number",
        ),
        ("name: a\nseed: 1:30\n", "FILE: line 2: 1:30 is octal or of base 60"),
        ("name: [", "FILE: not valid YAML"),
        (
            "name: a\ndata: {cutoff: 2019-06-31}",
            "FILE: line 2: 2019-06-31 cannot be read: day is out of range for month",
        ),
        ("name: !!int x", "FILE: line 1: x cannot be read"),
        ("name: !!timestamp x", "FILE: line 1: x cannot be read"),
        ("name: !!bool x", "FILE: line 1: x cannot be read"),
        ("{[1]: 2}", "FILE: line 1: a key must be one word, not [1]"),
        ("- a\n", "FILE: expected sections such as `data:` and `model:`, found list"),
        ("name: a\n", "FILE: training: this key is required"),
        (changed(name="../evil"), "FILE: name: string should match pattern"),
    ],
)
def test_every_mistake_is_one_clear_line(tmp_path: Path, content: Any, message: str) -> None:
    assert message in refusal(tmp_path, content)


def test_a_key_given_twice_in_deepspeeds_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "zero.json"
    file.write_text('{"zero_optimization": {"stage": 1, "overlap_comm": false, "stage": 3}}')
    said = refusal(tmp_path, changed(training={"deepspeed": str(file)}))
    assert said.endswith("zero.json is not valid JSON: key given twice: stage")


def test_a_wrong_entry_is_not_called_missing_too(tmp_path: Path) -> None:
    said = refusal(tmp_path, changed(data={"sources": [{"name": "a", "path": "b", "langage": "en"}]}))
    assert said.endswith("data.sources.0.langage: unknown key; did you mean `language`?")
    assert "at least 1 item" in refusal(tmp_path, changed(data={"sources": []}))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training", "override 'training' is not of the form section.key=value"),
        ("training.steps=[", "the value is not valid YAML"),
        ("data.cutoff=2019-07-32", "not valid YAML: line 1: 2019-07-32 cannot be read: day is out of range for month"),
        ("training.steps.x=1", "`steps` is not a section"),
        ("data.sources.olds.weight=1", "nothing there is called 'olds'"),
        ("seed=yes", "FILE: seed: should be a number (got True)"),
        ("training.step=1", "FILE: training.step: unknown key; did you mean `steps`?"),
        ("steps=3", "FILE: steps: unknown key; did you mean `training.steps`?"),
        ("training.layers=3", "FILE: training.layers: unknown key; did you mean `model.layers`?"),
        ("training.learning_rate=.inf", "FILE: training.learning_rate: input should be a finite number"),
        ("evaluation.temperature=.inf", "FILE: evaluation.temperature: input should be a finite number"),
    ],
)
def test_bad_overrides(tmp_path: Path, override: str, message: str) -> None:
    assert message in refusal(tmp_path, GOOD, override)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load_config(tmp_path / "latin.yaml")


def test_several_mistakes_are_all_said_at_once(tmp_path: Path) -> None:
    lines = refusal(tmp_path, changed(model={"layer": 3}, training={"learning_rate": "fast"})).splitlines()
    assert len(lines) == 2


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    assert "not valid YAML" in refusal(tmp_path, f"name: !!python/object/apply:pathlib.Path.touch ['{marker}']")
    assert not marker.exists()


def test_differences_name_dotted_keys() -> None:
    old = {"a": {"b": 1, "c": 2}, "d": 3}
    assert differences(old, {"a": {"b": 1, "c": 5}}) == {"a.c": (2, 5), "d": (3, None)}


def test_configuration_is_frozen(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD))
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3  # type: ignore[misc]
    assert isinstance(config, RunConfig)


@pytest.mark.parametrize(
    ("written", "meant"), [("true", True), ("false", False), ("1", 1), ("3", 3), ("selective", "selective")]
)
def test_activation_checkpointing_is_a_switch_a_number_or_selective(written: str, meant: bool | int | str) -> None:
    config = load_config(CHECKOUT / "configs" / "demo.yaml", [f"training.activation_checkpointing={written}"])
    assert config.training.activation_checkpointing == meant
    assert type(config.training.activation_checkpointing) is type(meant)


@pytest.mark.parametrize("written", ["often", "-2"])
def test_other_activation_checkpointing_is_refused(written: str) -> None:
    with pytest.raises(ConfigError, match="activation_checkpointing"):
        load_config(CHECKOUT / "configs" / "demo.yaml", [f"training.activation_checkpointing={written}"])


SECRET = "https://anna:pa55@host/news.jsonl?id=5&token=t0k"


def test_secrets_of_addresses_are_not_in_what_is_written_nor_in_refusals(tmp_path: Path) -> None:
    data = {"shards": SECRET, "sources": [{"name": "news", "path": SECRET}]}
    config = load_config(write(tmp_path, changed(data=data)))
    assert config.data.shards == config.data.sources[0].path == SECRET, "what is opened is whole"
    saved = load_config(write(tmp_path, to_yaml(config)))
    assert saved.data.shards == saved.data.sources[0].path == "https://***@host/news.jsonl?id=5&token=***"
    assert saved.shards == config.shards, "the copies of remote shards are found by either"
    shown = refusal(tmp_path, changed(data=data), "training.steps=few") + refusal(tmp_path, GOOD, f"data.path={SECRET}")
    shown += refusal(tmp_path, GOOD, f"training.steps={SECRET}")
    assert "pa55" not in shown
    assert "t0k" not in shown


def test_a_key_in_deepspeeds_file_is_refused(tmp_path: Path) -> None:
    comet = {"zero_optimization": {"stage": 1}, "comet": {"enabled": True, "api_key": "k3y"}}
    shown = refusal(tmp_path, changed(training={"deepspeed": comet}))
    assert "`comet.api_key` would be written into the run's files" in shown
    assert "k3y" not in shown
