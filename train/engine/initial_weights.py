"""The weights that a run begins with: those of the seed, or of a Hugging Face folder for continued pretraining."""

from contextlib import nullcontext
from pathlib import Path

from model.initialise import Gather, initialise
from model.pretrained import check_architecture, load_pretrained
from model.transformer import Transformer
from model.weight_files import open_weights
from train.config import RunConfig
from train.config_file import ConfigError


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
            load_pretrained(model, Path(config.init_from), gather)
        except ValueError as error:
            raise ConfigError(f"init_from: {error}") from None


def check_initial_weights(config: RunConfig, fresh: bool) -> None:
    """Find out without reading weights whether `init_from` can be taken, if it will be. Raises ConfigError if not."""
    if config.init_from is not None and fresh:
        try:
            check_architecture(Path(config.init_from), config.model)
            open_weights(Path(config.init_from))
        except ValueError as error:
            raise ConfigError(f"init_from: {error}") from None
