"""A model as a person names it: a run, a checkpoint of one, a Hugging Face folder or a GGUF file."""

import functools
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from data.sources.demo import demo_model
from data.tokenizer.build import end_of_text_id, load_tokenizer
from evaluation.continuations import behind_prefixes
from evaluation.general_model import Dtype, load_general_model
from evaluation.language_model import LanguageModel
from model.generate import generate
from model.huggingface_folder import check_weights_as_written
from model.prefix import Prefix
from model.sizes import parameter_count
from train.checkpoints.identity import tokenizer_folder
from train.checkpoints.trained import Trained, load_trained, token_losses
from train.config import RunConfig
from train.config_file import ConfigError, load_config


def load_named(path: str, *, window: int | None = None, dtype: Dtype | None = None) -> LanguageModel:
    """Read the model that `path` names.

    Args:
        path: a run's YAML file or folder (its newest checkpoint), a checkpoint's folder, a folder of transformers, a
            .gguf file, or demo://smollm2.
        window, dtype: of models of transformers.

    Raises:
        ConfigError: it is none of these (`check_names`), or an export whose weights are not as they were written.
        CheckpointError: the run has no such checkpoint, or it is damaged.
        DataError: transformers cannot read it.
    """
    if run := named_run(path):
        return own_model(*run)[0]
    return load_general_model(_place(path), window=window, dtype=dtype)


def check_names(paths: Sequence[str]) -> None:
    """Asked before any model is loaded. Raises ConfigError: one of them names no model, or half of one."""
    for path in paths:
        if named_run(path) is None:
            _place(path)


def _place(path: str) -> Path:
    """Where a model lies that is of no run."""
    scheme, of_demo, name = path.partition("://")
    place = demo_model(name) if scheme == "demo" and of_demo else Path(path)
    if (place / "adapter_config.json").exists():  # transformers would load it too, with peft, or would not, without
        raise ConfigError(
            f"{path} holds an adapter, which is a model with its base alone: name the run that trained it, or a folder "
            "of both as one, as `domainlm export CONFIG` or peft's merge_and_unload make it"
        )
    if (place.is_dir() and (place / "config.json").exists()) or (place.is_file() and place.suffix == ".gguf"):
        try:
            check_weights_as_written(place)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        return place
    raise ConfigError(
        f"{path} names no model: name a run's YAML file or folder, a checkpoint's folder, a folder with transformers' "
        "config.json, or a .gguf file; models of a hub are fetched first, as by `hf download NAME --local-dir FOLDER`"
    )


def named_run(path: str) -> tuple[RunConfig, int | None] | None:
    """Configuration and step (None: the newest) where `path` is a run or a checkpoint of one."""
    place = Path(path)
    if place.is_file() and place.suffix in (".yaml", ".yml"):
        return load_config(place), None
    folder, step = place.absolute(), None
    if folder.parent.name == "checkpoints" and (named := re.fullmatch(r"step_([0-9]{1,18})", folder.name)):
        folder, step = folder.parent.parent, int(named[1])
    if not (folder / "config.yaml").is_file():
        return None
    config = load_config(folder / "config.yaml", [f"folder={json.dumps(str(folder))}"])
    return config, step


def own_model(config: RunConfig, step: int | None = None) -> tuple[LanguageModel, Trained]:
    """The model of a run's newest checkpoint that is whole, or of that of a step."""
    trained = load_trained(config, step)

    @functools.cache
    def tokenizer() -> tuple[Tokenizer, int]:
        folder = tokenizer_folder(trained.checkpoint, config)  # shards may have been given without one
        return load_tokenizer(folder), end_of_text_id(folder)

    def write(prefix: Sequence[int], most: int, ended: Callable[[Sequence[int]], bool]) -> list[int]:
        written: list[int] = []

        def on_token(place: int, token: int) -> bool:
            written.append(token)
            return ended(written)

        generate(trained.model, [prefix], most, stop_token=tokenizer()[1], on_token=on_token)
        return written

    batch_tokens = config.evaluation.batch_size * config.model.sequence_length
    model = LanguageModel(
        name=config.name if step is None else f"{config.name}-step-{step}",
        digest=trained.checkpoint.digest,
        parameters=parameter_count(config.model),
        window=config.model.sequence_length,
        encode=lambda text: [tokenizer()[1], *tokenizer()[0].encode(text).ids],
        decode=lambda ids: str(tokenizer()[0].decode(ids, skip_special_tokens=False)),
        token_losses=token_losses(trained.model, trained.device),
        batch_tokens=batch_tokens,
        device=f"{trained.device.type}, float32",
        continuation_losses=behind_prefixes(lambda: Prefix(trained.model), config.model.vocabulary_size, batch_tokens),
        write=write,
        tokenizer_digest=trained.checkpoint.manifest["tokenizer_digest"],
    )
    return model, trained
