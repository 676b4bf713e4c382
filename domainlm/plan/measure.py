"""How fast this machine's CPU trains the run's own model: some passes of its shape, for about a second a rank."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from data.parallel import available_cpus
from data.progress import say
from domainlm.plan.costs import largest_batch
from domainlm.plan.placement import trained_count
from model.lora.lora import add_lora
from model.sizes import flop_per_token
from model.transformer import Transformer
from train.config import RunConfig
from train.engine.hidden_matrices import hidden_matrices, is_hidden
from train.engine.initial_weights import trained_rows
from train.engine.optimizer import build_optimizer
from train.engine.orthogonal import orthogonalise
from train.process import Rank, use_machine

LARGEST_PASS = 1e10
"""FLOP of the smallest pass that is tried, of one row: a second at the speed of a slow core."""
SECONDS_OF_A_PASS = 0.5
PASSES = 3


def measured_flops(config: RunConfig, ranks: int) -> float | None:
    """Useful FLOP/s of each of so many ranks in steps of the run's largest batch; None where a try would take long.

    Forward and backward passes and the update are timed at the configured shape, precision and recomputation, with as
    many rows of a micro-batch and as many blocks as half a second allows, in as many threads at once as the run has
    ranks, for they share the machine. The clock is each thread's own, so that what else the machine does at the moment
    does not count; a rank of several threads may wait for one that another program holds up, and then the figure is
    too low. Left out are the exchange between ranks, evaluations and saves.
    """
    fitting = (blocks for blocks in range(config.model.layers, 0, -1) if _flop_of_a_row(config, blocks) <= LARGEST_PASS)
    layers = next(fitting, None)
    if layers is None:
        return None
    say("plan: timing passes of the model on this machine")
    small = config.model_copy(update={"model": config.model.model_copy(update={"layers": layers})})
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(ranks) as pool:
        timed = list(pool.map(lambda _: _time_rank(small, ranks), range(ranks)))
    torch.set_num_threads(threads)
    flop_per_second = sum(speed for speed, _ in timed) / ranks
    update = max(seconds for _, seconds in timed) * trained_count(config) / trained_count(small)
    samples = largest_batch(config) / ranks
    useful = flop_per_token(config.model, frozen=config.lora is not None) * config.model.sequence_length * samples
    return useful / (useful / flop_per_second + update / (ranks if config.training.zero_stage else 1))


def _flop_of_a_row(config: RunConfig, layers: int) -> float:
    model = config.model.model_copy(update={"layers": layers})
    return flop_per_token(model, frozen=config.lora is not None) * config.model.sequence_length


def _time_rank(config: RunConfig, ranks: int) -> tuple[float, float]:
    """Useful FLOP/s of passes, and seconds of an update of the whole model, in this thread."""
    device = use_machine(Rank(0, 0, ranks, ranks))
    model = _random_model(config).to(device)

    def one_pass(rows: int) -> None:
        tokens = torch.randint(config.model.vocabulary_size, (rows, config.model.sequence_length))
        documents = torch.zeros_like(tokens) if config.model.document_masking else None
        model(tokens, tokens, documents=documents).backward()

    first = _seconds(lambda: one_pass(1))
    rows = max(1, min(config.training.micro_batch, int(SECONDS_OF_A_PASS / first)))
    best = min(_seconds(lambda: one_pass(rows)) for _ in range(PASSES))
    update = min(map(_seconds, [_update_of(config, model)] * PASSES))
    share = min(1.0, available_cpus() / (torch.get_num_threads() * ranks))  # of the time that a thread has a CPU
    return share * _flop_of_a_row(config, config.model.layers) * rows / best, update / share


def _update_of(config: RunConfig, model: Transformer) -> Callable[[], None]:
    """An update of all that is trained, by one rank alone; Muon does to single elements about what AdamW does."""
    elements = build_optimizer(model, config.training.model_copy(update={"optimizer": "adamw"}))
    matrices = []
    for name, parameter in model.named_parameters() if config.training.optimizer == "muon" else ():
        if is_hidden(name, parameter.shape):
            rows, columns = parameter.shape
            for part in hidden_matrices(config.model, name, (rows, columns)):
                whole = parameter.detach().view(-1)[part.start : part.start + part.elements]
                matrices.append(whole.view(part.rows, part.columns).float())

    def update() -> None:
        elements.step()
        for matrix in matrices:
            orthogonalise(matrix)

    return update


def _random_model(config: RunConfig) -> Transformer:
    with torch.device("meta"):
        model = Transformer(config.model)
    model.to_empty(device="cpu").to(torch.bfloat16 if config.training.precision == "bf16" else torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.02)
    if config.lora is not None:
        add_lora(model, config.lora, trained_rows(config), config.seed)
    model.set_training(config.training.activation_checkpointing)
    return model


def _seconds(work: Callable[[], object]) -> float:
    """Of this thread on a CPU: the backward pass of a CPU's tensors runs in the thread that asks for it."""
    begin = time.thread_time()
    work()
    return time.thread_time() - begin
