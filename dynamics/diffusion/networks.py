"""Denoising networks by name: F(x [B, T + 1, D], c_noise [B]) -> [B, T + 1, D]. Small: made for two cores."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.seeds import child_seed
from mbrl.dynamics.diffusion.attention import Transformer
from mbrl.dynamics.diffusion.layers import NoiseEmbedding, zeroed
from mbrl.dynamics.diffusion.shape import SegmentShape
from mbrl.dynamics.diffusion.unet import UNet


class MLP(nn.Module):
    """The whole segment as one row through residual blocks: for games of one step, and short segments."""

    def __init__(self, shape: SegmentShape, width: int, depth: int) -> None:
        super().__init__()
        self.size = (shape.tokens, shape.width)
        entries = shape.tokens * shape.width
        self.noise = NoiseEmbedding(width)
        self.first = nn.Linear(entries, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.last = zeroed(nn.Linear(width, entries))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """[B, T + 1, D]."""
        embedded = self.noise(noise)
        h = self.first(x.flatten(-2))
        for block in self.blocks:
            h = block(h, embedded)
        return self.last(functional.silu(h)).unflatten(-1, self.size)


class Block(nn.Module):
    """h + W2 silu(W1 silu(h) + noise)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.noise = nn.Linear(width, width), nn.Linear(width, width)
        self.outer = nn.Linear(width, width)

    def forward(self, h: Tensor, noise: Tensor) -> Tensor:
        """[B, width]."""
        return h + self.outer(functional.silu(self.inner(functional.silu(h)) + self.noise(noise)))


DENOISERS = {"mlp": MLP, "unet": UNet, "attention": Transformer}
"""Each built as cls(shape, width, depth)."""


def make_network(name: str, shape: SegmentShape, *, width: int, depth: int, seed: int) -> nn.Module:
    """A network with weights from `seed` alone. Raises ConfigError for a name that is not in DENOISERS."""
    if name not in DENOISERS:
        raise ConfigError(unknown_name("diffusion network", name, DENOISERS))
    if width < 1 or depth < 1:
        raise ConfigError(f"diffusion network: width={width} and depth={depth} must be at least 1")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, "diffusion.init"))
        return DENOISERS[name](shape, width, depth)
