"""Every row of a batch through the one network, out of several, that it names."""

from collections.abc import Callable

import torch
from torch import Tensor

Pick = Callable[[Tensor], Tensor]
"""All networks' tensors [L, ...] -> those of the T networks at work [T, ...]."""
Evaluate = Callable[[Tensor, Pick], Tensor]
"""(x [T, B, I], pick) -> [T, B, O]: T networks on B rows each, a row for itself; may be asked for no gradient."""

BLOCK_ROWS = 2048
"""Rows at a time on a CPU: what a layer makes of them stays in the cache."""
MOST_ROWS = 1 << 16
"""Rows at a time elsewhere: bounds memory."""
TILE_ROWS = 16, 512
"""Least and most rows of a tile."""


def route(x: Tensor, network: Tensor, count: int, evaluate: Evaluate) -> Tensor:
    """[n, O]: each row of x [n, I] through its network, an index below `count` in network [n] int64."""
    return (tiled if x.is_cuda else counted)(x, network, count, evaluate)


def counted(x: Tensor, network: Tensor, count: int, evaluate: Evaluate) -> Tensor:
    """Network by network. No row is computed twice, but the host waits to learn how many rows each network has."""
    order = network.argsort(stable=True)
    counts = network.bincount(minlength=count).tolist()
    found = []
    for i, rows in enumerate(x[order].split(counts)):
        parts = rows.tensor_split(-(-len(rows) // BLOCK_ROWS)) if len(rows) else ()
        found += [evaluate(part.unsqueeze(0), lambda p, i=i: p[i : i + 1]).squeeze(0) for part in parts]
    return _put_back(torch.cat(found), order)


def tiled(x: Tensor, network: Tensor, count: int, evaluate: Evaluate) -> Tensor:
    """Sorted by network into tiles of one network each, every network's last one filled up with zeros.

    All shapes follow from those of the arguments, so nothing waits for the device, and a CUDA graph may hold it.
    """
    n = len(x)
    size = tile_rows(n, count)
    tiles = n // size + count  # no fewer than any distribution over networks needs
    order = network.argsort(stable=True)
    ordered, each = network[order], torch.arange(count + 1, device=x.device)
    first = torch.searchsorted(ordered, each)
    needed = (first.diff() + size - 1) // size
    ends = needed.cumsum(0)
    slot = (ends - needed)[ordered] * size + torch.arange(n, device=x.device) - first[ordered]
    slots = x.new_zeros(tiles * size, x.shape[-1]).index_copy_(0, slot, x[order]).view(tiles, size, -1)
    owner = torch.searchsorted(ends, torch.arange(tiles, device=x.device), right=True).clamp_max_(count - 1)
    blocks = max(1, MOST_ROWS // size)
    found = [
        evaluate(some, lambda p, own=own: p[own])
        for some, own in zip(slots.split(blocks), owner.split(blocks), strict=True)
    ]
    return _put_back(torch.cat(found).flatten(0, 1)[slot], order)


def tile_rows(n: int, count: int) -> int:
    """A power of two, small beside the n / count rows that a network has on average: few places stay empty."""
    least, most = TILE_ROWS
    return max(least, min(most, 1 << (n // (4 * count)).bit_length()))


def _put_back(rows: Tensor, order: Tensor) -> Tensor:
    return torch.empty_like(rows).index_copy_(0, order, rows)
