"""The weights that a run begins with: those of the seed, or of a Hugging Face folder for continued pretraining."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from data.files import file_digest, read_object
from data.shards.format import read_manifest
from data.tokenizer.build import TOKENIZER
from model.huggingface_folder import RECORD
from model.initialise import Gather, initialise
from model.pretrained import check_architecture, load_pretrained
from model.transformer import Transformer
from model.weight_files import open_weights
from train.config import RunConfig
from train.config_file import ConfigError
from train.records.text_read import check_held_out


def set_initial_weights(model: Transformer, config: RunConfig, fresh: bool, gather: Gather = nullcontext) -> None:
    """Set every parameter, in place; rows of vocabulary that `init_from` does not have are those of the seed.

    Args:
        fresh: no checkpoint will replace what is set here. A run that has saved a step does not ask for `init_from`.
        gather: makes a context in which the given parameters are whole and may be written, for sharded models.

    Raises:
        ConfigError: `init_from` is of another model, or its weights are not all there.
    """
    initialise(model, config.seed, gather)
    if config.init_from is not None and fresh:
        try:
            _check_text(config, Path(config.init_from))
            load_pretrained(model, Path(config.init_from), gather)
        except ValueError as error:
            raise ConfigError(f"init_from: {error}") from None


def check_initial_weights(config: RunConfig, fresh: bool) -> None:
    """Find out without reading weights whether `init_from` can be taken, if it will be. Raises ConfigError if not."""
    if config.init_from is not None and fresh:
        try:
            _check_text(config, Path(config.init_from))
            check_architecture(Path(config.init_from), config.model)
            open_weights(Path(config.init_from))
        except ValueError as error:
            raise ConfigError(f"init_from: {error}") from None


def text_read_by(folder: Path) -> list[dict[str, Any]]:
    """The texts that the weights in a folder have read, as its record says; none where it does not say."""
    record = folder / RECORD
    return list(_said(record).get("read") or [])


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
        if theirs != ours:
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
