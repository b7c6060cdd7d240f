"""Early stopping of stacked members: each keeps its best weights, each seed its own clock."""

import torch
from torch import Tensor

from mbrl.dynamics.ensemble import Ensemble


class Snapshots:
    """Best weights and log-variance bounds of every member so far, by hold-out MSE (MBPO official code).

    A member's snapshot is replaced when its MSE falls by more than `improvement` of its best. A seed stops
    once `patience` epochs in a row improved none of its members; its snapshots then never change again,
    however long the rest of the stack trains on, so a stacked seed ends as it would alone.

    mse [S_d, E] at the snapshots, inf before the first; epochs [S_d] trained; running [S_d] bool.
    """

    def __init__(self, ensemble: Ensemble, *, improvement: float, patience: int) -> None:
        self.ensemble, self.improvement, self.patience = ensemble, improvement, patience
        self.best = {name: p.detach().clone() for name, p in ensemble.networks().items()}
        device, seeds = ensemble.elites.device, len(ensemble.seeds)
        self.mse = torch.full((seeds, ensemble.members), torch.inf, device=device)
        self.stale = torch.zeros(seeds, dtype=torch.int64, device=device)
        self.epochs = torch.zeros(seeds, dtype=torch.int64, device=device)

    @property
    def running(self) -> Tensor:
        """Seeds that have not stopped [S_d] bool."""
        return self.stale < self.patience

    @torch.no_grad()
    def update(self, mse: Tensor) -> None:
        """Take the hold-out MSE [S_d, E] after one more epoch; NaN is no improvement."""
        running = self.running
        better = (mse < self.mse * (1 - self.improvement)) & running.unsqueeze(-1)
        for name, p in self.ensemble.networks().items():
            self.best[name].copy_(torch.where(better[..., None, None], p, self.best[name]))
        self.mse = torch.where(better, mse, self.mse)
        self.stale = torch.where(better.any(-1), 0, self.stale + 1)
        self.epochs += running

    @torch.no_grad()
    def restore(self) -> None:
        """Put the best weights back and name the K members of lowest hold-out MSE the elites, best first."""
        for name, p in self.ensemble.networks().items():
            p.copy_(self.best[name])
        order = self.mse.argsort(dim=-1, stable=True)
        self.ensemble.elites.copy_(order[:, : self.ensemble.elites.shape[-1]])
