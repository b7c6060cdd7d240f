"""A transformer over all (time, agent) pairs of a segment."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mbrl.dynamics.diffusion.layers import (
    Attention,
    NoiseEmbedding,
    features,
    from_agents,
    heads_of,
    to_agents,
    zeroed,
)
from mbrl.dynamics.diffusion.shape import SegmentShape


class Transformer(nn.Module):
    """Tokens are (time, agent) pairs: the agent's obs and action, and the reward and terminal all share.

    Every pair attends to every other. Reward and terminal go in at each agent's token and come out as the mean of
    what the agents say. Time, agent and noise level are added to the tokens as vectors of their own.
    """

    def __init__(self, shape: SegmentShape, width: int, depth: int) -> None:
        super().__init__()
        self.shape = shape
        self.noise = NoiseEmbedding(width)
        self.first = nn.Linear(features(shape), width)
        self.time = nn.Parameter(0.1 * torch.randn(shape.tokens, 1, width))
        self.agent = nn.Parameter(0.1 * torch.randn(shape.layout.agents, width))
        self.blocks = nn.ModuleList(TransformerBlock(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.last = zeroed(nn.Linear(width, features(shape)))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """[B, T + 1, D]."""
        embedded = self.noise(noise).unsqueeze(1)
        h = (self.first(to_agents(self.shape, x)) + self.time + self.agent).flatten(1, 2)
        for block in self.blocks:
            h = block(h, embedded)
        y = self.last(self.norm(h)).unflatten(1, (self.shape.tokens, -1))
        return from_agents(self.shape, y)


class TransformerBlock(nn.Module):
    """Attention, then a perceptron that hears of the noise level."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads_of(width))
        self.norm, self.noise = nn.LayerNorm(width), nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, h: Tensor, noise: Tensor) -> Tensor:
        """[B, L, width]; noise [B, 1, width]."""
        h = self.attention(h)
        return h + self.outer(functional.silu(self.inner(self.norm(h) + self.noise(noise))))
