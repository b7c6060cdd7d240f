"""A U-Net over time, one an agent with shared weights, joined by attention across agents."""

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


class UNet(nn.Module):
    """Convolutions over time on the way down and up, halving it `depth - 1` times (Janner et al. 2022, Diffuser).

    Agents are rows of one batch; within each block they attend to each other, time step by time step. Reward and
    terminal go in at each agent and come out as the mean of what the agents say.
    """

    def __init__(self, shape: SegmentShape, width: int, depth: int) -> None:
        super().__init__()
        self.shape, agents = shape, shape.layout.agents
        # Halving a time axis of one step would only add weights.
        self.depth = min(depth, max(1, shape.tokens.bit_length()))
        sizes = [width * min(2**level, 4) for level in range(self.depth)]
        self.noise = NoiseEmbedding(width)
        self.first = nn.Conv1d(features(shape), width, 3, padding=1)
        self.agent = nn.Parameter(0.1 * torch.randn(agents, width, 1))
        before = [width, *sizes[:-1]]
        self.down = nn.ModuleList(UNetBlock(i, o, width, agents) for i, o in zip(before, sizes, strict=True))
        ups = [(sizes[level + 1] + sizes[level], sizes[level]) for level in reversed(range(self.depth - 1))]
        self.up = nn.ModuleList(UNetBlock(i, o, width, agents) for i, o in ups)
        self.last = zeroed(nn.Conv1d(width, features(shape), 1))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """[B, T + 1, D]."""
        embedded = self.noise(noise)
        agents = self.shape.layout.agents
        h = to_agents(self.shape, x).permute(0, 2, 3, 1).flatten(0, 1)
        h = functional.pad(h, (0, -h.shape[-1] % 2 ** (self.depth - 1)))
        h = (self.first(h).unflatten(0, (-1, agents)) + self.agent).flatten(0, 1)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            h = block(functional.avg_pool1d(h, 2) if level else h, embedded)
            skips.append(h)
        for block in self.up:
            skips.pop()
            h = block(torch.cat([h.repeat_interleave(2, dim=-1), skips[-1]], dim=1), embedded)
        y = self.last(h)[..., : self.shape.tokens].unflatten(0, (-1, agents))
        return from_agents(self.shape, y.permute(0, 3, 1, 2))


class UNetBlock(nn.Module):
    """Two convolutions over time, with the noise level and attention across agents in between, and a residual."""

    def __init__(self, inputs: int, outputs: int, noise: int, agents: int) -> None:
        super().__init__()
        self.norm_in, self.norm_out = nn.GroupNorm(1, inputs), nn.GroupNorm(1, outputs)
        self.inner = nn.Conv1d(inputs, outputs, 3, padding=1)
        self.outer = nn.Conv1d(outputs, outputs, 3, padding=1)
        self.noise = nn.Linear(noise, outputs)
        self.skip = nn.Conv1d(inputs, outputs, 1)
        self.agents = agents
        self.attention = Attention(outputs, heads_of(outputs)) if agents > 1 else None

    def forward(self, h: Tensor, noise: Tensor) -> Tensor:
        """h [B * N, inputs, T'] -> [B * N, outputs, T']; noise [B, width]."""
        level = self.noise(noise).repeat_interleave(self.agents, dim=0).unsqueeze(-1)
        inner = self.across(self.inner(functional.silu(self.norm_in(h))) + level)
        return self.skip(h) + self.outer(functional.silu(self.norm_out(inner)))

    def across(self, h: Tensor) -> Tensor:
        """Attention over agents, each time step by itself: [B * N, C, T'] of the same shape."""
        if self.attention is None:
            return h
        rows = h.unflatten(0, (-1, self.agents)).permute(0, 3, 1, 2)
        mixed = self.attention(rows.flatten(0, 1)).view_as(rows)
        return mixed.permute(0, 2, 3, 1).flatten(0, 1)
