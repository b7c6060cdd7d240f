"""Losses of the probabilistic ensemble: mean over batch and dims, one value a member [S, E].

The caller sums over members and seeds, so every member's gradient is what it would be alone.
"""

import torch
from torch import Tensor


def gaussian_nll(mean: Tensor, logvar: Tensor, target: Tensor) -> Tensor:
    """Mean over B and D of (mean - target)^2 exp(-logvar), plus the mean of logvar: [..., B, D] -> [...].

    Twice the negative log-likelihood without its constant, as PETS (Chua et al. 2018, eq. 1), MBPO and their
    descendants scale it.
    """
    _same_shape(mean, logvar, target)
    return ((mean - target).square() * torch.exp(-logvar) + logvar).mean(dim=(-2, -1))


def squared_error(mean: Tensor, target: Tensor) -> Tensor:
    """Mean over B and D of (mean - target)^2: [..., B, D] -> [...]; what hold-out rows are judged by."""
    _same_shape(mean, target)
    return (mean - target).square().mean(dim=(-2, -1))


def bound_width(low: Tensor, high: Tensor) -> Tensor:
    """Sum over dims of the log-variance bounds' distance: [..., 1, D] -> [...].

    Times a small coefficient it pulls the trainable bounds together (PETS official code: 0.01).
    """
    _same_shape(low, high)
    return (high - low).sum(dim=(-2, -1))


def _same_shape(*tensors: Tensor) -> None:
    # A broadcast here would average over the wrong pairs without a sound.
    shapes = [tuple(t.shape) for t in tensors]
    assert all(s == shapes[0] for s in shapes), shapes
