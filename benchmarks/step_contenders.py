"""One contender of the step benchmark: `step_contenders.py NAME SHAPE [--compile]`, a training step a line of stdin.

SHAPE is `Shape` as JSON. A step is forward, loss, backward, clipping and AdamW on random tokens. It prints, for each,
{"cpu_seconds", "wall_seconds", "faults", "peak_bytes", "matmul"}: the last is the FLOP/s of a plain matrix product of
the model's width, measured just before, per CPU-second and per second of wall clock.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
LEARNING_RATE, BETAS, DECAY, CLIP = 3e-4, (0.9, 0.95), 0.1, 1.0

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Shape:
    """What all contenders of a run have in common."""

    layers: int
    width: int
    heads: int
    time: int
    vocabulary: int
    batch: int
    feed_forward: int  # of SwiGLU: about 8/3 of the width, as many weights as the others' 4 x width
    threads: int = 1

    @property
    def tokens(self) -> int:
        """Tokens of a step."""
        return self.batch * self.time


def domainlm(shape: Shape, family: str) -> tuple[nn.Module, Loss]:
    """Ours; the family decides the architecture."""
    from model.initialise import initialise
    from model.transformer import Transformer
    from train.process import Rank, use_machine

    use_machine(Rank(0, 0, 1))
    model = Transformer(model_config(shape, family))
    initialise(model, 0)
    return model, model


def model_config(shape: Shape, family: str) -> Any:
    """Our configuration of a family: bloom, gpt (rotary positions in the place of nanoGPT's learned ones) or llama."""
    from model.config import ModelConfig

    llama = family == "llama"
    return ModelConfig(
        layers=shape.layers,
        width=shape.width,
        heads=shape.heads,
        vocabulary_size=shape.vocabulary,
        sequence_length=shape.time,
        feed_forward_width=shape.feed_forward if llama else 4 * shape.width,
        positions="alibi" if family == "bloom" else "rope",
        norm="rmsnorm" if llama else "layernorm",
        activation="swiglu" if llama else "gelu",
        embedding_norm=family == "bloom",
        bias=not llama,
        tied=True,
        query_key_norm=False,
    )


class PlainBlock(nn.Module):
    """A GPT block as it is written in tutorials: two norms, four linear layers, GELU, PyTorch's attention."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, self.heads = shape.width, shape.heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.attention, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = self.attention(self.norms[0](x)).split(width, dim=2)
        q, k, v = (part.view(batch, length, self.heads, -1).transpose(1, 2) for part in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.projection(mixed.transpose(1, 2).contiguous().view(batch, length, width))
        return x + self.contract(F.gelu(self.expand(self.norms[1](x))))


class PlainGPT(nn.Module):
    """GPT-2's architecture in plain eager PyTorch: learned positions, tied head, one cross-entropy over all logits."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(shape.vocabulary, shape.width), nn.Embedding(shape.time, shape.width)
        self.blocks = nn.Sequential(*(PlainBlock(shape) for _ in range(shape.layers)))
        self.norm = nn.LayerNorm(shape.width)
        self.head = nn.Linear(shape.width, shape.vocabulary, bias=False)
        self.head.weight = self.tokens.weight
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        hidden = self.norm(self.blocks(self.tokens(tokens) + self.positions(positions)))
        logits = self.head(hidden)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))


def plain_gpt(shape: Shape) -> tuple[nn.Module, Loss]:
    model = PlainGPT(shape)
    return model, model


def hugging_face(shape: Shape, family: str) -> tuple[nn.Module, Loss]:
    """transformers' model of the family with its own loss (which shifts the labels itself)."""
    import transformers

    common: dict[str, Any] = {"vocab_size": shape.vocabulary, "tie_word_embeddings": True, "use_cache": False}
    if family == "bloom":
        config = transformers.BloomConfig(
            hidden_size=shape.width, n_layer=shape.layers, n_head=shape.heads, hidden_dropout=0.0, **common
        )
    else:
        common |= {"hidden_size": shape.width, "num_hidden_layers": shape.layers}
        common |= {"num_attention_heads": shape.heads, "max_position_embeddings": shape.time}
        kind = transformers.GPTNeoXConfig if family == "neox" else transformers.LlamaConfig
        config = kind(intermediate_size=4 * shape.width if family == "neox" else shape.feed_forward, **common)
    model = transformers.AutoModelForCausalLM.from_config(config)
    return model, lambda tokens, targets: model(input_ids=tokens, labels=tokens).loss


def litgpt(shape: Shape, family: str) -> tuple[nn.Module, Loss]:
    """litgpt's GPT as Pythia or Llama, with the chunked loss of its own training script."""
    from litgpt.config import Config
    from litgpt.model import GPT
    from litgpt.utils import chunked_cross_entropy

    llama: dict[str, Any] = {
        "bias": False,
        "parallel_residual": False,
        "norm_class_name": "RMSNorm",
        "mlp_class_name": "LLaMAMLP",
        "intermediate_size": shape.feed_forward,
        "rotary_percentage": 1.0,
    }
    model = GPT(
        Config(
            block_size=shape.time,
            n_layer=shape.layers,
            n_embd=shape.width,
            n_head=shape.heads,
            padded_vocab_size=shape.vocabulary,
            **(llama if family == "llama" else {}),
        )
    )
    model.lm_head.weight = model.transformer.wte.weight
    return model, lambda tokens, targets: chunked_cross_entropy(model(tokens), targets)


CONTENDERS: dict[str, Callable[[Shape], tuple[nn.Module, Loss]]] = {
    "domainlm bloom": lambda shape: domainlm(shape, "bloom"),
    "domainlm gpt": lambda shape: domainlm(shape, "gpt"),
    "domainlm llama": lambda shape: domainlm(shape, "llama"),
    "plain GPT": plain_gpt,
    "transformers BLOOM": lambda shape: hugging_face(shape, "bloom"),
    "transformers GPT-NeoX": lambda shape: hugging_face(shape, "neox"),
    "transformers Llama": lambda shape: hugging_face(shape, "llama"),
    "litgpt Pythia": lambda shape: litgpt(shape, "pythia"),
    "litgpt Llama": lambda shape: litgpt(shape, "llama"),
}


class Step:
    """A model and its optimizer, the same for all: fused AdamW, gradients clipped at a global norm."""

    def __init__(self, name: str, shape: Shape, compiled: bool) -> None:
        torch.set_num_threads(shape.threads)
        torch.manual_seed(0)
        self.shape, self.device = shape, torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model, self.loss = CONTENDERS[name](shape)
        torch.set_num_threads(shape.threads)
        self.model.to(self.device, torch.bfloat16 if self.device.type == "cuda" else torch.float32).train()
        if compiled:
            self.model.compile()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=LEARNING_RATE, betas=BETAS, weight_decay=DECAY, fused=True
        )
        generator = torch.Generator().manual_seed(0)
        tokens = torch.randint(shape.vocabulary, (shape.batch, shape.time + 1), generator=generator).to(self.device)
        self.inputs, self.targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    def __call__(self) -> None:
        self.loss(self.inputs, self.targets).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.wait()

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def measure(self) -> dict[str, float]:
        """Take one step and account for it."""
        matmul_cpu, matmul_wall = self.matmul()
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        cpu, wall = time.process_time(), time.perf_counter()
        self()
        return {
            "cpu_seconds": time.process_time() - cpu,
            "wall_seconds": time.perf_counter() - wall,
            "faults": resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults,
            "peak_bytes": self.peak_bytes(),
            "matmul_cpu": matmul_cpu,
            "matmul_wall": matmul_wall,
        }

    def matmul(self, repeats: int = 4) -> tuple[float, float]:
        """FLOP/s per CPU-second and per second of a feed-forward layer's product into memory that is there already."""
        dtype = next(self.model.parameters()).dtype
        rows, width, wide = self.shape.tokens, self.shape.width, 4 * self.shape.width
        a, b = torch.ones(rows, width, device=self.device, dtype=dtype), torch.ones_like(self.inputs[0, :1]).to(dtype)
        b = b.expand(width, wide).contiguous()
        out = torch.mm(a, b)
        self.wait()
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(repeats):
            torch.mm(a, b, out=out)
        self.wait()
        flop = repeats * 2 * rows * width * wide
        return flop / (time.process_time() - cpu), flop / (time.perf_counter() - wall)

    def peak_bytes(self) -> int:
        """Most memory since `forget_peak`: the process's resident set, or the GPU's allocations."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated()
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])

    def forget_peak(self) -> None:
        """Begin to measure the peak anew, so that compilation does not count."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        else:
            Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    name, shape = sys.argv[1], Shape(**json.loads(sys.argv[2]))
    step = Step(name, shape, compiled="--compile" in sys.argv)
    for _ in range(3 if "--compile" in sys.argv else 2):
        step()
    step.forget_peak()
    print(json.dumps({"device": str(step.device), "parameters": sum(p.numel() for p in step.model.parameters())}))
    sys.stdout.flush()
    for _ in sys.stdin:
        print(json.dumps(step.measure()))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
