"""A model with an adapter: its own weights frozen, low-rank updates beside its matrices, rows of its vocabulary anew.

The matrices of this model are fused (queries, keys and values; gate and up), those of Hugging Face's are not: each of
their matrices has an update of its own here too, a part. The A of all parts are one matrix, and so are the B.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache
from math import sqrt
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import ModelConfig
from model.huggingface import to_hugging_face
from model.initialise import Gather, seeded_normal
from model.lora.config import LoraConfig
from model.loss import TrainedRows
from model.memory import Adapter
from model.sizes import parameter_count
from model.transformer import OutputHead, Transformer

MODULES = {
    "attention": ("attention.query_key_value", "attention.output"),
    "feed_forward": ("feed_forward.expand", "feed_forward.output"),
}
"""The matrices of a block that each target names."""
VOCABULARY = ("embedding", "head")
"""The modules with a row for each token; of a tied model the second has the first one's."""
A, B, ROWS = "lora_a", "lora_b", "lora_rows"


class LoraLinear(nn.Linear):
    """W x + scale B A x, each part with its own A and B.

    Attributes:
        lora_a: (parts x rank, in): one A behind the other.
        lora_b: (out, rank): one B behind the other.
    """

    def __init__(self, base: nn.Linear, rows: Sequence[int], lora: LoraConfig) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight = base.weight
        self.register_parameter("bias", base.bias)
        self.rows, self.rank, self.scale, self.dropout = list(rows), lora.rank, lora.scale, lora.dropout
        dtype, device = base.weight.dtype, base.weight.device  # those of a sharded weight too, which is empty
        self.lora_a = nn.Parameter(torch.zeros(len(rows) * lora.rank, base.in_features, dtype=dtype, device=device))
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, lora.rank, dtype=dtype, device=device))

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        seen = F.dropout(hidden, self.dropout, self.training)
        narrow = F.linear(seen, self.lora_a) * self.scale
        parts = zip(torch.split(narrow, self.rank, dim=-1), torch.split(self.lora_b, self.rows), strict=True)
        updates = [F.linear(part, b) for part, b in parts]
        update = torch.cat(updates, dim=-1) if len(updates) > 1 else updates[0]
        return F.linear(hidden, self.weight, self.bias) + update


class RowsEmbedding(nn.Embedding):
    """An embedding in which the rows of some tokens are others, which are trained."""

    places: Tensor

    def __init__(self, base: nn.Embedding, rows: nn.Parameter, ids: Tensor) -> None:
        nn.Module.__init__(self)
        vars(self).update({key: value for key, value in vars(base).items() if not key.startswith("_")})
        self.weight, self.lora_rows = base.weight, rows
        places = torch.full((base.num_embeddings,), -1, device=ids.device)
        places[ids] = torch.arange(len(ids), device=ids.device)
        self.register_buffer("places", places, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """int64 (batch, time) -> (batch, time, width)."""
        places = self.places[tokens]
        own = F.embedding(places.clamp(min=0), self.lora_rows)
        return own.where((places >= 0)[..., None], F.embedding(tokens, self.weight))


class RowsHead(OutputHead):
    """An output head in which the rows of some tokens are others, which are trained."""

    ids: Tensor

    def __init__(self, base: OutputHead, rows: nn.Parameter, ids: Tensor) -> None:
        nn.Module.__init__(self)
        vars(self).update({key: value for key, value in vars(base).items() if not key.startswith("_")})
        self.weight, self.lora_rows = base.weight, rows
        self.register_buffer("ids", ids, persistent=False)

    def matrix(self) -> Tensor:
        return self.weight.index_copy(0, self.ids, self.lora_rows)

    def trained_rows(self) -> TrainedRows:
        return self.ids, self.lora_rows


def check_rank(config: ModelConfig, lora: LoraConfig) -> None:
    """Raises ValueError where an update would have more rank than the matrix that it is for."""
    with torch.device("meta"):
        model = Transformer(config.model_copy(update={"layers": 1}))
    for name, module, rows in _targets(model, lora):
        if lora.rank > (most := min(module.in_features, *rows)):
            raise ValueError(
                f"lora.rank is {lora.rank}, and a part of {name.removeprefix('blocks.0.')} has {most} rows or columns: "
                f"take {most} at most, or other targets"
            )


def add_lora(model: Transformer, lora: LoraConfig, ids: Sequence[int], seed: int, gather: Gather = nullcontext) -> None:
    """Freeze a model's weights and put an adapter that changes nothing yet into it, in place.

    Each A is drawn like a matrix of the model (`model.initialise`), with the standard deviation 1 / sqrt(3 in) that
    peft's uniform numbers have too; B is 0; rows are the base's.

    Args:
        ids: tokens whose rows are trained one by one (`LoraConfig.trained_rows`).
        gather: makes a context in which the given parameters are whole, for sharded models.
    """
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for name, module, rows in _targets(model, lora):
        adapted = LoraLinear(module, rows, lora)
        with torch.no_grad():
            drawn = seeded_normal(f"{seed}:{name}.{A}", adapted.lora_a.shape)
            adapted.lora_a.copy_(drawn / sqrt(3 * module.in_features))
        model.set_submodule(name, adapted)
    model.draws = lora.dropout > 0
    if lora.embeddings == "all":
        model.embedding.weight.requires_grad_(True)
        model.head.weight.requires_grad_(True)
    elif ids:
        _train_rows(model, ids, gather)


@lru_cache
def measure_adapter(config: ModelConfig, lora: LoraConfig, ids: tuple[int, ...]) -> Adapter:
    """How large an adapter is, and what it makes a step keep; arguments as of `add_lora`, nothing is allocated."""
    with torch.device("meta"):
        model = Transformer(config.model_copy(update={"layers": 1}))
    frozen = parameter_count(config)
    add_lora(model, lora, ids, seed=0)
    in_block, outside = (
        sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
        for parameters in (model.blocks.parameters(), [*model.embedding.parameters(), *model.head.parameters()])
    )
    if config.tied:
        outside //= 2  # both modules have the same
    if lora.embeddings == "all":
        frozen -= outside
    updates = [module for module in model.modules() if isinstance(module, LoraLinear)]
    # What a product is given takes the place of what it would keep without dropout; attention keeps its own besides.
    given = sum(module.in_features for module in updates) if lora.dropout else 0
    twice = config.attention_width if lora.dropout and "attention" in lora.targets else 0
    return Adapter(
        trained=config.layers * in_block + outside,
        frozen=frozen,
        head_rows=config.vocabulary_size if lora.embeddings == "all" else len(ids),
        values=sum(len(module.lora_a) for module in updates) + twice,
        masks=given,
    )


def _train_rows(model: Transformer, ids: Sequence[int], gather: Gather) -> None:
    def taken(weight: Tensor) -> nn.Parameter:
        with gather([cast(nn.Parameter, weight)]), torch.no_grad():
            return nn.Parameter(weight[where].clone())

    where = torch.tensor(ids, device=model.embedding.weight.device)
    rows = taken(model.embedding.weight)
    model.embedding = RowsEmbedding(model.embedding, rows, where)
    # A tied head has the same parameter, registered in both, as the weight is: whatever gathers parameters finds it.
    model.head = RowsHead(model.head, rows if model.config.tied else taken(model.head.weight), where)


def _targets(model: Transformer, lora: LoraConfig) -> Iterator[tuple[str, nn.Linear, list[int]]]:
    """Name, module and rows of each part of the matrices that get an update."""
    endings = tuple(ending for target in lora.targets for ending in MODULES[target])
    for name, module in list(model.named_modules()):
        if name.endswith(endings):
            assert isinstance(module, nn.Linear)
            yield name, module, part_rows(name, module.out_features, model.config)


def part_rows(name: str, rows: int, config: ModelConfig) -> list[int]:
    """How many rows each part of the module `name` has."""
    whole = torch.empty(rows, 1, device="meta")
    return [len(part) for part in to_hugging_face(f"{name}.weight", whole, config).values()]


@torch.no_grad()
def merge(model: Transformer, adapter: Mapping[str, Tensor], lora: LoraConfig, ids: Sequence[int]) -> None:
    """Put an adapter into a plain model's weights, in place: it then computes the same, but for rounding.

    Args:
        adapter: its parameters by the names that they have in a model that `add_lora` has changed.
        ids: as there.
    """
    for name, tensor in adapter.items():
        module, _, kind = name.rpartition(".")
        if kind == A:
            weight, b = model.get_parameter(f"{module}.weight"), adapter[f"{module}.{B}"]
            rows = part_rows(module, len(weight), model.config)
            parts = zip(torch.split(weight, rows), torch.split(b, rows), torch.split(tensor, lora.rank), strict=True)
            for part, of_b, of_a in parts:
                part += lora.scale * (of_b.to(weight) @ of_a.to(weight))
        elif kind == ROWS:
            weight = model.get_parameter(f"{module}.weight")
            weight[torch.tensor(ids, device=weight.device)] = tensor.to(weight)
        elif kind == "weight":
            model.get_parameter(name).copy_(tensor)
