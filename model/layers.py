"""The layers that act on each token alone: norms and the feed-forward network."""

import torch.nn.functional as F
from torch import Tensor, nn

from model.config import ModelConfig


def make_norm(config: ModelConfig, width: int) -> nn.LayerNorm | nn.RMSNorm:
    """The configured norm over a last dimension of `width`; statistics are in float32 also for bfloat16 input."""
    if config.norm == "layernorm":
        return nn.LayerNorm(width, eps=config.norm_epsilon, bias=config.bias is True)
    return nn.RMSNorm(width, eps=config.norm_epsilon)


class FeedForward(nn.Module):
    """GELU(x W1) W2 with the tanh form of GELU, or SwiGLU: (SiLU(x Wg) * (x Wu)) W2 (Shazeer 2020, equation 6).

    The gate and up matrices of SwiGLU are the halves of one matrix, so that both cost a single product.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gated = config.activation == "swiglu"
        self.expand = nn.Linear(config.width, config.expanded_width, bias=config.bias is True)
        self.output = nn.Linear(config.feed_forward_width, config.width, bias=config.bias is True)

    def forward(self, hidden: Tensor) -> Tensor:
        """(batch, time, width) -> (batch, time, width)."""
        hidden = self.expand(hidden)
        if self.gated:
            gate, up = hidden.chunk(2, dim=-1)
            hidden = F.silu(gate) * up
        else:
            hidden = F.gelu(hidden, approximate="tanh")
        output: Tensor = self.output(hidden)
        return output
