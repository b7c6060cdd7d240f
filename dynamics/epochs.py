"""The training loop of an ensemble: bootstraps, orders, optimiser steps, and a guard against divergence."""

from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from mbrl.core.errors import DivergenceError
from mbrl.core.seeds import Streams
from mbrl.dynamics.ensemble import Ensemble
from mbrl.dynamics.losses import bound_width, gaussian_nll
from mbrl.dynamics.snapshots import Snapshots

CHECK_EVERY = 200
"""Steps between looks at whether the loss is still finite: each look waits for the device."""


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
        self.ensemble, self.inputs, self.targets = ensemble, inputs, targets
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
        batches = order.split(self.batch_size, dim=-1)
        total = torch.zeros_like(snapshots.mse)
        for i, positions in enumerate(batches, start=1):
            total += self._step(positions)
            bar.update()
            if i % CHECK_EVERY == 0 or i == len(batches):
                self._check_finite(total, snapshots)
        return total / len(batches)

    def _step(self, positions: Tensor) -> Tensor:
        """One optimiser step on bootstrap positions [S_d, b]; returns the NLL [S_d, E]."""
        rows = self.bootstrap.gather(2, positions.unsqueeze(1).expand(-1, self.ensemble.members, -1))
        loss, nll = member_loss(self.ensemble, self.inputs[rows], self.targets[rows], self.logvar_coef)
        self.optimiser.zero_grad(set_to_none=True)
        loss.sum().backward()
        self.optimiser.step()
        self.steps += 1
        return nll.detach()

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
