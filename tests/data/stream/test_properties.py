"""For any documents, mixtures, stages, reshuffles, ranks and stops: every token once a pass, and nothing else."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.shards.packing import SPLIT, pack_shards
from data.stream.stream import TokenStream
from train.config import TrainingConfig
from train.schedule import consumed_samples, micro_batches

Write = Callable[..., Path]
Shares = dict[str, float]


class Case(NamedTuple):
    lengths: dict[str, list[int]]
    tokens_per_shard: int
    sequence_length: int
    policy: str
    end_of_text: int
    weights: Shares
    stages: dict[int, Shares]
    reshuffles: dict[int, int]
    seed: int


def mixtures(sources: list[str]) -> st.SearchStrategy[Shares]:
    weights = st.lists(st.integers(0, 7), min_size=len(sources), max_size=len(sources)).filter(any)
    return weights.map(lambda drawn: dict(zip(sources, map(float, drawn), strict=True)))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    sources = [f"s{number}" for number in range(draw(st.integers(1, 5)))]
    documents = st.lists(st.integers(0, 40), min_size=1, max_size=15)
    mixture = mixtures(sources)
    return Case(
        lengths={source: draw(documents) for source in sources},
        tokens_per_shard=draw(st.sampled_from([50, 10_000])),
        sequence_length=draw(st.integers(2, 24)),
        policy=draw(st.sampled_from(["best_fit", "concatenate"])),
        end_of_text=draw(st.sampled_from([0, 7])),
        weights=draw(mixture),
        stages=draw(st.dictionaries(st.integers(1, 120), mixture, max_size=2)),
        reshuffles=draw(st.dictionaries(st.integers(0, 120), st.integers(0, 9), max_size=2)),
        seed=draw(st.integers(0, 99)),
    )


def open_case(case: Case, folder: Path, write: Write) -> TokenStream:
    write(folder, case.lengths, case.tokens_per_shard, case.end_of_text)
    pack_shards(folder, case.policy, case.sequence_length, workers=1)  # type: ignore[arg-type]
    return reopen(case, folder)


def reopen(case: Case, folder: Path) -> TokenStream:
    return TokenStream(
        folder,
        case.weights,
        case.sequence_length,
        case.seed,
        policy=case.policy,
        stages=case.stages,
        reshuffles=case.reshuffles,
    )


def file_tokens(folder: Path, source: str, file: int) -> npt.NDArray[np.int64]:
    return np.fromfile(folder / f"{SPLIT}/{source}-{file:05d}.bin", "<u4").astype(np.int64)


@settings(max_examples=40, deadline=None)
@given(case=cases(), samples=st.integers(1, 200))
def test_every_token_is_predicted_once_a_pass(
    case: Case, samples: int, tmp_path_factory: pytest.TempPathFactory, write_training_shards: Write
) -> None:
    stream = open_case(case, tmp_path_factory.mktemp("case"), write_training_shards)
    assert_every_token_once_a_pass(case, stream, 0, samples)


@settings(max_examples=40, deadline=None)
@given(
    case=cases(),
    passes=st.integers(1, 10**6),
    reshuffles=st.dictionaries(st.integers(-50, 200), st.integers(0, 9), max_size=2),
)
def test_every_token_is_predicted_once_in_passes_far_from_the_beginning_too(
    case: Case,
    passes: int,
    reshuffles: dict[int, int],
    tmp_path_factory: pytest.TempPathFactory,
    write_training_shards: Write,
) -> None:
    folder = tmp_path_factory.mktemp("case")
    rows = open_case(case._replace(stages={}, reshuffles={}), folder, write_training_shards).passes.values()
    first = int(sum(case.weights.values())) * math.lcm(*rows) * passes  # where all sources begin a pass
    seeds = {max(0, first + sample): seed for sample, seed in reshuffles.items()}
    assert_every_token_once_a_pass(case, reopen(case._replace(stages={}, reshuffles=seeds), folder), first, 200)


def assert_every_token_once_a_pass(case: Case, stream: TokenStream, first: int, samples: int) -> None:
    pieces = stream.pieces(first, samples)
    assert all(piece.tokens > 0 for of_sample in pieces for piece in of_sample)
    for source, rows in stream.passes.items():
        mine = [of_sample for of_sample in pieces if of_sample[0].source == source]
        whole = sum(case.lengths[source]) + len(case.lengths[source])
        for begin in range(0, len(mine), rows):
            shown = [
                (piece.file, token)
                for of_sample in mine[begin : begin + rows]
                for piece in of_sample
                for token in range(piece.first_token, piece.first_token + piece.tokens)
            ]
            assert len(set(shown)) == len(shown)
            if begin + rows <= len(mine):
                assert len(shown) == whole


@settings(max_examples=40, deadline=None)
@given(case=cases(), first=st.integers(0, 150))
def test_a_batch_is_its_pieces_each_behind_the_token_before_it(
    case: Case, first: int, tmp_path_factory: pytest.TempPathFactory, write_training_shards: Write
) -> None:
    folder = tmp_path_factory.mktemp("case")
    stream = open_case(case, folder, write_training_shards)
    batch = stream.batch(first, 20)
    for row, documents, pieces in zip(batch.tokens, batch.documents, stream.pieces(first, 20), strict=True):
        expected, contexts, numbers = [], [], []
        number = -1
        for piece in pieces:
            tokens = np.concatenate([[case.end_of_text], file_tokens(folder, piece.source, piece.file)])
            stretch = slice(piece.first_token + 1, piece.first_token + 1 + piece.tokens)
            expected += tokens[stretch].tolist()
            contexts += tokens[stretch.start - 1 : stretch.stop - 1].tolist()
        starts = [0, *itertools.accumulate(piece.tokens for piece in pieces)]
        for place, context in enumerate(contexts):
            number += place in starts or context == case.end_of_text
            numbers.append(number)
        predicted = documents >= 0
        assert row[1:][predicted].tolist() == expected
        assert row[:-1][predicted].tolist() == contexts
        assert documents[predicted].tolist() == numbers
        assert (case.policy == "best_fit") <= (len(pieces) == 1 or all(p.tokens < case.sequence_length for p in pieces))


@settings(max_examples=40, deadline=None)
@given(case=cases(), samples=st.integers(1, 200))
def test_each_stage_keeps_its_mixture_at_every_prefix(
    case: Case, samples: int, tmp_path_factory: pytest.TempPathFactory, write_training_shards: Write
) -> None:
    stream = open_case(case, tmp_path_factory.mktemp("case"), write_training_shards)
    names = [pieces[0].source for pieces in stream.pieces(0, samples)]
    stages = {0: case.weights} | dict(sorted(case.stages.items()))
    for (first, weights), end in zip(stages.items(), [*list(stages)[1:], samples], strict=True):
        total = sum(weights.values())
        for source, weight in weights.items():
            shown = np.cumsum([name == source for name in names[first:end]])
            exact = np.arange(1, len(shown) + 1) * weight / total
            assert (np.abs(shown - exact) < 1 + 1e-9).all()


def training(batch_size: Any, micro_batch: int) -> TrainingConfig:
    return TrainingConfig(steps=30, batch_size=batch_size, micro_batch=micro_batch, learning_rate=1.0, deepspeed={})


@settings(max_examples=40, deadline=None)
@given(
    case=cases(),
    batch_size=st.sampled_from([12, {0: 12, 2: 24}, {0: 24, 1: 12, 3: 36}]),
    stops=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    data=st.data(),
)
def test_runs_that_stop_and_go_on_over_other_ranks_read_one_sequence(
    case: Case,
    batch_size: Any,
    stops: list[int],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
    write_training_shards: Write,
) -> None:
    folder = tmp_path_factory.mktemp("case")
    stream = open_case(case, folder, write_training_shards)
    step, read = 0, [stream.batch(0, 0).tokens]
    for steps in stops:  # each stretch between two stops in another process, on another number of ranks
        world_size, micro_batch = data.draw(st.sampled_from([(1, 12), (2, 3), (4, 3), (6, 1), (12, 1), (3, 2)]))
        settings_of_stretch = training(batch_size, micro_batch)
        consumed = consumed_samples(settings_of_stretch, step)
        assert consumed == sum(map(len, read))
        if consumed:  # that may be told to go on otherwise
            changes = st.just(consumed) | st.integers(consumed, consumed + 40)
            stages = data.draw(st.dictionaries(changes, mixtures(list(case.lengths)), max_size=1))
            reshuffles = data.draw(st.dictionaries(changes, st.integers(10, 19), max_size=1))
            case = case._replace(stages=case.stages | stages, reshuffles=case.reshuffles | reshuffles)
        ranks = [reopen(case, folder) for _ in range(world_size)]
        assert {rank.digest(consumed) for rank in ranks} == {stream.digest(consumed)}
        stream = ranks[0]
        for _ in range(steps):
            step += 1
            groups = zip(
                *(micro_batches(settings_of_stretch, step, rank, world_size) for rank in range(world_size)), strict=True
            )
            read += [
                rank.batch(first, micro_batch).tokens
                for group in groups
                for rank, first in zip(ranks, group, strict=True)
            ]
    tokens = np.concatenate(read)
    assert np.array_equal(tokens, stream.batch(0, len(tokens)).tokens)
