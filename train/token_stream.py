"""The token stream of a run, opened over its shards as the configuration says."""

from data.config import CANARIES
from data.corpus.inputs import check_made_with
from data.errors import DataError
from data.files import file_digest, finished_digest
from data.shards.cache import open_cache
from data.stream.stream import TokenStream
from train.config import RunConfig
from train.schedule import consumed_samples


def open_stream(config: RunConfig) -> TokenStream:
    """The run's token stream over its shards.

    Raises:
        DataError: the shards are missing or damaged, have a larger vocabulary than the model, are not packed for its
            sequence length, or were made with another tokenizer than is there; tokenizer or corpus were made with other
            settings; or a source would be passed over more often than it may be.
    """
    data, training, length = config.data, config.training, config.model.sequence_length
    weights = {source.name: source.weight for source in data.sources if source.weight is not None}
    if data.canaries and data.canaries.weight is not None:
        weights[CANARIES] = data.canaries.weight
    cache = None
    if data.shards and config.shards_are_remote:
        room = int(data.cache_gigabytes * 1e9)
        cache = open_cache(data.shards, config.shards, room, data.packing, length)
    stream = TokenStream(
        config.shards,
        weights or None,
        length,
        config.seed,
        alpha=data.alpha,
        policy=data.packing,
        stages={consumed_samples(training, stage.from_step - 1): stage.weights for stage in data.stages},
        reshuffles={consumed_samples(training, step - 1): seed for step, seed in data.reshuffles.items()},
        cache=cache,
    )
    if stream.packing.vocabulary_size > config.model.vocabulary_size:
        raise DataError(
            f"{config.shards}: token ids go up to {stream.packing.vocabulary_size - 1}, but model.vocabulary_size is "
            f"{config.model.vocabulary_size}: set it to {stream.packing.vocabulary_size} or more"
        )
    _check_origin(config)
    _check_cutoff(config)
    _check_epochs(config, stream)
    return stream


def _check_origin(config: RunConfig) -> None:
    """Tokenizer and corpus that lie there are what the shards were made from; shards may be given without them."""
    from data.shards.format import read_manifest
    from data.tokenizer import build  # loads pyarrow, and `plan` may have no shards

    manifest, file = read_manifest(config.shards), config.tokenizer_folder / build.TOKENIZER
    if file.exists() and (digest := file_digest(file)) != manifest.tokenizer_digest:
        raise DataError(
            f"{file} has the digest {digest}, {config.shards} were made with {manifest.tokenizer_digest}: "
            f"{'put their tokenizer there' if config.data.shards else 'run `domainlm tokenize CONFIG` again'}"
        )
    if config.data.shards is None:
        build.check_made_with(config.tokenizer, config.tokenizer_folder)
    corpus = finished_digest(config.corpus)
    if corpus == manifest.corpus_digest:
        check_made_with(config.data, config.corpus)
    elif corpus is not None and config.data.shards is None:
        raise DataError(
            f"{config.corpus} has the digest {corpus}, {config.shards} were made from {manifest.corpus_digest}: run "
            "`domainlm tokenize CONFIG` again"
        )


def _check_cutoff(config: RunConfig) -> None:
    """Shards that are given have no training text of `data.cutoff` or later, as far as their tables lie here.

    The cutoff is what checkpoints, exports and comparisons say of the weights.
    """
    if config.data.shards is None or config.data.cutoff is None:
        return
    from data.shards.documents import newest_date
    from data.shards.format import read_manifest

    files = [file for source in read_manifest(config.shards).splits["train"].values() for file in source.files]
    tables = [table for file in files if (table := config.shards / file.documents_path).exists()]
    newest = max((date for table in tables if (date := newest_date(table))), default=None)
    if newest and newest >= config.data.cutoff:
        raise DataError(
            f"{config.shards}: its training text goes up to {newest}, and data.cutoff is {config.data.cutoff}: set it "
            "to the cutoff that the shards were made with, or make others"
        )


def _check_epochs(config: RunConfig, stream: TokenStream) -> None:
    epochs = stream.epochs(consumed_samples(config.training, config.training.steps))
    for source in config.data.sources:
        passes, most = epochs.get(source.name, 0.0), source.maximum_epochs
        if most is not None and passes > most:
            raise DataError(
                f"source '{source.name}' would be passed over {passes:.2f} times, its maximum_epochs is {most:g}: "
                "lower its weight or training.steps, or raise the maximum"
            )
