"""What the denoising networks have in common: the noise level, an agent's view of a segment, blocks."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from mbrl.dynamics.diffusion.shape import SegmentShape, Tokens

FREQUENCIES = 16
"""Of the noise level's features, from 1 to 32: c_noise lies between -1.6 and 1.1."""


class NoiseEmbedding(nn.Module):
    """c_noise [B] -> [B, width]: sines and cosines, then a perceptron (Karras et al. 2022, app. F.3)."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", 2 ** torch.linspace(0, 5, FREQUENCIES), persistent=False)
        self.first = nn.Linear(2 * FREQUENCIES, width)
        self.second = nn.Linear(width, width)

    def forward(self, noise: Tensor) -> Tensor:
        """[B, width]."""
        phase = noise.unsqueeze(-1) * self.frequencies
        return self.second(functional.silu(self.first(torch.cat([phase.sin(), phase.cos()], dim=-1))))


def to_agents(shape: SegmentShape, x: Tensor) -> Tensor:
    """[B, T + 1, D] -> [B, T + 1, N, O + A + 2]: each agent's own entries, and the shared ones beside them."""
    obs, action, reward, terminal = shape.split(x)
    shared = torch.stack([reward, terminal], dim=-1).unsqueeze(-2)
    return torch.cat([obs, action, shared.expand(*obs.shape[:-1], 2)], dim=-1)


def from_agents(shape: SegmentShape, y: Tensor) -> Tensor:
    """[B, T + 1, N, O + A + 2] -> [B, T + 1, D]; the shared entries are the agents' mean."""
    obs, action, shared = y.split([shape.layout.obs_dim, shape.layout.action_dim, 2], dim=-1)
    reward, terminal = shared.mean(-2).unbind(-1)
    return shape.join(Tokens(obs, action, reward, terminal))


def features(shape: SegmentShape) -> int:
    """O + A + 2: what an agent has a token."""
    return shape.layout.obs_dim + shape.layout.action_dim + 2


class Attention(nn.Module):
    """Multi-head self-attention with a residual: x [B, L, width], over L (Vaswani et al. 2017), normed before."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.inputs, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, L, width]."""
        q, k, v = self.inputs(self.norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(q, k, v)
        return x + self.output(found.transpose(1, 2).flatten(-2))


def zeroed(layer: nn.Linear | nn.Conv1d) -> nn.Linear | nn.Conv1d:
    """The layer with weights and bias 0: a network that ends in it begins by saying nothing."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def heads_of(width: int) -> int:
    """Heads of attention: four of them, fewer where the width is no multiple of four."""
    return math.gcd(width, 4)
