"""The weights that a run begins with: those of the seed, or of a Hugging Face folder for continued pretraining."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from data.files import file_digest, finished_inputs, read_object
from data.progress import say
from data.shards.format import read_manifest
from data.tokenizer.build import TOKENIZER
from evaluation.pages.wording import base_model
from model.huggingface_folder import ADAPTER_SETTINGS, RECORD, check_weights_as_written
from model.initialise import Gather, Spelled, initialise
from model.lora.folder import check_adapter, load_adapter
from model.lora.lora import add_lora, check_rank
from model.pretrained import check_architecture, load_pretrained, read_architecture
from model.transformer import Transformer
from model.weight_files import open_weights, weights_digest
from train.config import RunConfig
from train.config_file import ConfigError
from train.rates.carry_over import carry_over
from train.records.text_read import check_held_out


def set_initial_weights(model: Transformer, config: RunConfig, fresh: bool, gather: Gather = nullcontext) -> None:
    """Set every parameter, in place; rows of vocabulary that `init_from` does not have are those of the seed.

    Those of pieces that `tokenizer.extend` adds are the mean of the rows of the pieces that spelled them.

    With `lora` the model has an adapter then, and what it does not train is frozen.

    Args:
        fresh: no checkpoint will replace what is set here. A run that has saved a step does not ask for `init_from`,
            unless its checkpoints are adapters of it.
        gather: makes a context in which the given parameters are whole and may be written, for sharded models.

    Raises:
        ConfigError: `init_from` or the adapter is of another model, or its weights are not all there.
    """
    factors = carry_over(config.model, config.training.tuned_at, config.training.optimizer)
    initialise(model, config.seed, gather, lambda name: factors(name).initial)
    if config.init_from is not None and (fresh or config.lora):
        try:
            made_of = spelled(config) if fresh else {}  # an adapter's checkpoint holds the new rows
            if fresh:
                _check_text(config, Path(config.init_from))
            load_pretrained(model, Path(config.init_from), gather, made_of)
        except ValueError as error:
            raise ConfigError(f"init_from: {error}") from None
    if config.lora is not None:
        _set_adapter(model, config, fresh, gather)


def _set_adapter(model: Transformer, config: RunConfig, fresh: bool, gather: Gather) -> None:
    assert config.lora is not None
    try:
        if fresh:
            _check_adapter(config)
        ids = trained_rows(config)
        add_lora(model, config.lora, ids, config.seed, gather)
        if config.lora.adapter is not None and fresh:
            load_adapter(model, Path(config.lora.adapter), config.lora, ids, gather)
    except ValueError as error:
        raise ConfigError(f"lora: {error}") from None


def trained_rows(config: RunConfig) -> tuple[int, ...]:
    """Ids of the tokens whose rows an adapter trains one by one. Raises ValueError where they cannot be trained."""
    assert config.lora is not None
    assert config.init_from is not None
    base_rows = int(read_architecture(Path(config.init_from))["vocabulary_size"])
    pieces = config.tokenizer.vocabulary_size
    added = range(pieces - (config.tokenizer.extend or 0), pieces)
    return config.lora.trained_rows(base_rows, config.model.vocabulary_size, added)


def spelled(config: RunConfig) -> Spelled:
    """Of each piece that `tokenizer.extend` adds, the pieces that spelled it before; reads the run's tokenizer.

    Raises:
        DataError: it is not there, or was not extended so.
    """
    if config.tokenizer.extend is None:
        return {}
    from data.tokenizer.extend import spelled_by  # compiled code, which few runs need

    return spelled_by(config.tokenizer_folder / TOKENIZER, config.tokenizer.extend)


def _check_adapter(config: RunConfig) -> None:
    assert config.lora is not None
    check_rank(config.model, config.lora)
    ids = trained_rows(config)
    if config.lora.adapter is not None:
        folder = Path(config.lora.adapter)
        base = _said(folder / RECORD).get("base")
        if base is not None and base != (here := weights_digest(Path(str(config.init_from)))):
            raise ValueError(f"{folder} is an adapter of the base {base}, and {config.init_from} is {here}")
        _check_text(config, folder)
        check_adapter(folder, config.model, config.lora, ids)


def check_initial_weights(config: RunConfig, fresh: bool) -> None:
    """Find out before any rank starts whether `init_from` can be taken, if it will be. Raises ConfigError if not."""
    if config.init_from is not None and fresh:
        try:
            spelled(config)
            _check_text(config, Path(config.init_from))
            check_architecture(Path(config.init_from), config.model)
            open_weights(Path(config.init_from))
            check_weights_as_written(Path(config.init_from))
        except ValueError as error:
            raise ConfigError(f"init_from: {error}") from None
    if config.lora is not None:
        try:
            if fresh:
                _check_adapter(config)
                if config.lora.adapter is not None:
                    check_weights_as_written(Path(config.lora.adapter))
                    _say_base_of_another(config, Path(config.lora.adapter))
        except ValueError as error:
            raise ConfigError(f"lora: {error}") from None


def _say_base_of_another(config: RunConfig, adapter: Path) -> None:
    """A line where an adapter of another program names another base than the run's: no digest tells whether it is."""
    named = read_object(adapter / ADAPTER_SETTINGS).get("base_model_name_or_path")
    theirs, ours = (base_model({"init_from": folder}) for folder in (named, config.init_from))
    if "base" not in _said(adapter / RECORD) and theirs not in (None, ours):
        say(f"WARNING: {adapter} says that it is an adapter of {named}, and init_from is {config.init_from}")


def texts_read_before(config: RunConfig) -> list[dict[str, Any]]:
    """The texts that the weights which a run begins with have read; none where that is not known."""
    folders = [config.init_from, config.lora.adapter if config.lora else None]
    read = [text_read_by(Path(folder)) for folder in folders if folder]
    return [text for texts in read for text in texts] if all(read) else []


def text_read_by(folder: Path) -> list[dict[str, Any]]:
    """The texts that the weights in a folder have read, as its record says; none where it does not say."""
    record = folder / RECORD
    return list(_said(record).get("read") or [])


def _check_extended(config: RunConfig, file: Path, theirs: str) -> None:
    """Raise ValueError unless the run's tokenizer, which is that of the shards, extends the one of `init_from`."""
    given = finished_inputs(config.tokenizer_folder).get("path_digest")
    if theirs != given:
        raise ValueError(
            f"{file} has the digest {theirs}, the tokenizer that tokenizer.extend has extended {given}: set "
            f"tokenizer.path to {file.parent} and run `domainlm tokenize CONFIG`; if it is extended already, leave "
            "tokenizer.extend out"
        )


def _said(record: Path) -> dict[str, Any]:
    """What `domainlm export` wrote; nothing for a folder of another program. Raises DataError: it is damaged."""
    return read_object(record, "export the model again: which text it has read is not known") if record.exists() else {}


def _check_text(config: RunConfig, folder: Path) -> None:
    """The folder's tokenizer is that of the shards, and what `domainlm export` says of its text is before the cutoff.

    A folder that has no tokenizer, or was not made by `domainlm export`, says nothing of them.

    Raises:
        ValueError: a token's row would be of another piece, or text that is held out here may have been read there.
    """
    file, record = folder / TOKENIZER, folder / RECORD
    if file.exists():
        theirs, ours = file_digest(file), read_manifest(config.shards).tokenizer_digest
        if config.tokenizer.extend and str(folder) == config.init_from:
            _check_extended(config, file, theirs)
        elif theirs != ours:
            raise ValueError(
                f"{file} has the digest {theirs}, the shards were made with the tokenizer {ours}: set tokenizer.path "
                f"to {folder} and run `domainlm tokenize CONFIG`"
            )
    said = _said(record)
    wanted = config.data.cutoff.isoformat() if config.data.cutoff else None
    if "cutoff" in said and wanted and (said["cutoff"] is None or said["cutoff"] > wanted):
        read = f"up to its cutoff {said['cutoff']}" if said["cutoff"] else "without a cutoff"
        raise ValueError(
            f"the weights in {folder} were trained on text {read}, data.cutoff is {wanted}: what is held out from then "
            "on may have been trained on; set data.cutoff to theirs or later, or leave it out"
        )
    if texts := text_read_by(folder):
        check_held_out(config, texts)
