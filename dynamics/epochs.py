"""The training loop of an ensemble: bootstraps, orders, optimiser steps, and a guard against divergence."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from mbrl.core.errors import DivergenceError
from mbrl.core.seeds import Streams
from mbrl.dynamics.ensemble import Ensemble
from mbrl.dynamics.fused import member_gradient
from mbrl.dynamics.losses import bound_width, gaussian_nll
from mbrl.dynamics.snapshots import Snapshots

CHECK_EVERY = 200
"""Steps between looks at whether the loss is still finite: each look waits for the device."""

AHEAD = 1 << 15
"""Rows, over all networks, that are gathered and standardised at a time, ahead of the steps that use them."""


def parameter_groups(ensemble: Ensemble) -> list[dict[str, Any]]:
    """Adam's groups: each layer's weight with its decay; biases and bounds with none.

    Adam adds decay * W to the gradient, which is that of 0.5 * decay * |W|^2 in the loss (PETS official
    code) without the passes over all weights that computing the term would take.
    """
    weights = [layer.weight for layer in ensemble.net.layers]
    groups = [
        {"params": [w], "weight_decay": decay}
        for w, decay in zip(weights, ensemble.weight_decay, strict=True)
    ]
    rest = [p for p in ensemble.networks().values() if all(p is not w for w in weights)]
    return [*groups, {"params": rest, "weight_decay": 0.0}]


def member_loss(
    ensemble: Ensemble, inputs: Tensor, targets: Tensor, logvar_coef: float
) -> tuple[Tensor, Tensor]:
    """What a member is fitted by, and the NLL in it, each [S_d, E]; weight decay is the optimiser's part.

    inputs [S_d, E, B, O + A], targets [S_d, E, B, O + 1]: rows of each member's own.
    """
    mean, logvar = ensemble(inputs)
    nll = gaussian_nll(mean, logvar, targets)
    return nll + logvar_coef * bound_width(ensemble.logvar_min, ensemble.logvar_max), nll


class Epochs:
    """The training loop's state: optimiser, bootstraps [S_d, E, n] and the stream of orders."""

    def __init__(
        self,
        ensemble: Ensemble,
        inputs: Tensor,
        targets: Tensor,
        train: Tensor,
        *,
        batch_size: int,
        lr: float,
        logvar_coef: float,
    ) -> None:
        self.ensemble, self.networks = ensemble, ensemble.networks()
        self.inputs, self.targets = inputs, targets
        self.batch_size, self.lr, self.logvar_coef = batch_size, lr, logvar_coef
        self.done = self.steps = 0
        self.optimiser = torch.optim.Adam(parameter_groups(ensemble), lr=lr, fused=True)
        n = train.shape[-1]
        draws = Streams(ensemble.seeds, "dynamics.bootstrap").randint(n, ensemble.members, n)
        self.bootstrap = train.unsqueeze(1).expand(-1, ensemble.members, -1).gather(2, draws.to(train.device))
        self.orders = Streams(ensemble.seeds, "dynamics.order")

    def run(self, snapshots: Snapshots, bar: tqdm) -> Tensor:
        """One pass over every bootstrap; returns the mean training NLL [S_d, E].

        Members of a seed share the order: their bootstraps are independent, so their batches are, too.
        """
        self.done += 1
        bar.set_description(f"dynamics epoch {self.done}")
        order = self.orders.permutation(self.bootstrap.shape[-1]).to(self.bootstrap.device)
        total = torch.zeros_like(snapshots.mse)
        count = -(-order.shape[-1] // self.batch_size)
        for i, (inputs, targets) in enumerate(self.batches(order), start=1):
            total += self.step(inputs, targets)
            bar.update()
            if i % CHECK_EVERY == 0 or i == count:
                self._check_finite(total, snapshots)
        return total / count

    def batches(self, order: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Standardised inputs [L, b, I] and targets [L, b, D] along order [S_d, n] of bootstraps, L = S_d * E."""
        seeds, members = self.bootstrap.shape[:2]
        steps = max(1, AHEAD // (seeds * members * self.batch_size))
        for positions in order.split(steps * self.batch_size, dim=-1):
            rows = self.bootstrap.gather(2, positions.unsqueeze(1).expand(-1, members, -1))
            x, y = (
                t.index_select(0, rows.flatten()).view(*rows.shape, -1) for t in (self.inputs, self.targets)
            )
            parts = (t.flatten(0, 1).split(self.batch_size, dim=1) for t in (self.ensemble.normaliser(x), y))
            yield from zip(*parts, strict=True)

    def step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """One optimiser step on a batch as `batches` gives it; returns the NLL [S_d, E]."""
        nll, gradients = member_gradient(self.ensemble, inputs, targets, self.logvar_coef)
        for name, p in self.networks.items():
            p.grad = gradients[name].view_as(p).to(p.dtype)
        self.optimiser.step()
        self.steps += 1
        return nll.view(self.bootstrap.shape[:2])

    def _check_finite(self, total: Tensor, snapshots: Snapshots) -> None:
        """DivergenceError if the loss of a member whose seed is still running is NaN or infinite."""
        lost = ~total.isfinite() & snapshots.running.unsqueeze(-1)
        if not lost.any():
            return
        seed, member = lost.nonzero()[0].tolist()
        raise DivergenceError(
            f"dynamics: loss of member {member} of seed {self.ensemble.seeds[seed]} is {total[seed, member]} in "
            f"epoch {self.done}; its best hold-out MSE was {snapshots.mse[seed, member]:.4g}. "
            f"Largest |input| is {self.inputs.abs().max():.3g}, largest |target| {self.targets.abs().max():.3g}: "
            f"look for outliers in the data, or lower lr={self.lr}"
        )
