"""Maximum-likelihood fit of an ensemble to transitions (PETS, Chua et al. 2018; MBPO, Janner et al. 2019)."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, DataError, MismatchError
from mbrl.core.progress import progress as progress_bar
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions
from mbrl.datasets.split import holdout_split
from mbrl.dynamics.ensemble import Ensemble
from mbrl.dynamics.epochs import Epochs
from mbrl.dynamics.losses import squared_error
from mbrl.dynamics.snapshots import Snapshots

OnEpoch = Callable[[Mapping[str, Any]], None]
"""Called after every epoch with {"epoch": int, "holdout_mse", "train_nll": [S_d, E], "running": [S_d]}."""


@dataclass(frozen=True)
class FitReport:
    """What a fit did: per seed where nested. holdout_mse are the kept snapshots', elites best first."""

    epochs: list[int]
    holdout_mse: list[list[float]]
    elites: list[list[int]]
    train_rows: int
    holdout_rows: int
    steps: int
    seconds: float

    def summary(self) -> str:
        """A few lines for people, a line a seed."""
        lines = [f"dynamics fitted to {self.train_rows:,} rows in {self.seconds:.0f} s, {self.steps:,} steps"]
        for epochs, mse, elites in zip(self.epochs, self.holdout_mse, self.elites, strict=True):
            errors = " ".join(f"{m:.4g}" for m in mse)
            lines.append(f"  epochs {epochs}, hold-out MSE of each member {errors}, elites {elites}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def fit(
    ensemble: Ensemble,
    transitions: Transitions,
    *,
    lr: float = 1e-3,
    batch_size: int = 256,
    holdout_fraction: float = 0.2,
    holdout_max: int = 1000,
    logvar_coef: float = 0.01,
    improvement: float = 0.01,
    patience: int = 5,
    max_epochs: int | None = None,
    progress: bool = True,
    on_epoch: OnEpoch | None = None,
) -> FitReport:
    """Train every member on its own bootstrap of flat transitions [N], in place; return what happened.

    Each seed holds out its own rows, standardises inputs by its training rows, and draws for each member
    as many training rows with replacement, walked through in a new order every epoch. Snapshots, early
    stopping and elites as in snapshots.py. All random numbers depend on the ensemble's seeds alone.

    Every row must have its true successor. Whatever ends the fit, Ctrl-C and divergence included, the
    ensemble is left with its best snapshots. Raises ConfigError, DataError (row named), MismatchError for
    other dims, and DivergenceError when a running member's loss is no longer finite.
    """
    _check_options(lr, batch_size, improvement, patience, max_epochs)
    inputs, targets = regression_pairs(ensemble, transitions)
    train, holdout = (
        index.to(inputs.device)
        for index in holdout_split(
            len(inputs),
            fraction=holdout_fraction,
            maximum=holdout_max,
            streams=Streams(ensemble.seeds, "dynamics.holdout"),
        )
    )
    ensemble.normaliser.fit(inputs, train)
    snapshots = Snapshots(ensemble, improvement=improvement, patience=patience)
    epochs = Epochs(ensemble, inputs, targets, train, batch_size=batch_size, lr=lr, logvar_coef=logvar_coef)
    started = time.perf_counter()
    with progress_bar(None, "dynamics", enabled=progress, unit="step") as bar:
        try:
            while snapshots.running.any() and epochs.done != max_epochs:
                train_nll = epochs.run(snapshots, bar)
                mse = _holdout_mse(ensemble, inputs, targets, holdout)
                snapshots.update(mse)
                kept = snapshots.mse.mean().item()
                bar.set_postfix(epoch=epochs.done, holdout=f"{mse.mean().item():.3g}", best=f"{kept:.3g}")
                if on_epoch is not None:
                    on_epoch(_epoch_info(epochs.done, mse, train_nll, snapshots.running))
        finally:
            snapshots.restore()
    return FitReport(
        epochs=snapshots.epochs.tolist(),
        holdout_mse=snapshots.mse.tolist(),
        elites=ensemble.elites.tolist(),
        train_rows=train.shape[-1],
        holdout_rows=holdout.shape[-1],
        steps=epochs.steps,
        seconds=time.perf_counter() - started,
    )


def regression_pairs(ensemble: Ensemble, transitions: Transitions) -> tuple[Tensor, Tensor]:
    """Inputs (obs, action) [N, O + A] and targets (next_obs - obs, reward) [N, O + 1], of the ensemble's kind.

    Raises MismatchError for other dims or rows that are not flat, DataError naming the first row that is
    not finite.
    """
    got = (transitions.obs_dim, transitions.action_dim)
    if got != (ensemble.obs_dim, ensemble.action_dim) or transitions.reward.dim() != 1:
        raise MismatchError(
            f"model takes flat rows of obs {ensemble.obs_dim} and action {ensemble.action_dim}, "
            f"got obs {tuple(transitions.obs.shape)} and action {tuple(transitions.action.shape)}"
        )
    t, dtype = transitions.to(ensemble.elites.device), ensemble.logvar_min.dtype
    inputs = torch.cat([t.obs, t.action], dim=-1).to(dtype)
    targets = torch.cat([t.next_obs - t.obs, t.reward.unsqueeze(-1)], dim=-1).to(dtype)
    bad = ~(inputs.isfinite().all(-1) & targets.isfinite().all(-1))
    if bad.any():
        raise DataError(f"transition {int(bad.nonzero()[0])} holds a value that is NaN or infinite")
    return inputs, targets


@torch.no_grad()
def _holdout_mse(ensemble: Ensemble, inputs: Tensor, targets: Tensor, holdout: Tensor) -> Tensor:
    """Hold-out MSE of every member [S_d, E] over its seed's rows [S_d, h]."""
    sums = torch.zeros(len(ensemble.seeds), ensemble.members, device=inputs.device)
    for rows in holdout.split(4096, dim=-1):
        mean, _ = ensemble(inputs[rows].unsqueeze(1))
        sums += squared_error(mean, targets[rows].unsqueeze(1).expand_as(mean)) * rows.shape[-1]
    return sums / holdout.shape[-1]


def _epoch_info(epoch: int, mse: Tensor, train_nll: Tensor, running: Tensor) -> dict[str, Any]:
    return {"epoch": epoch, "holdout_mse": mse.cpu(), "train_nll": train_nll.cpu(), "running": running.cpu()}


def _check_options(
    lr: float, batch_size: int, improvement: float, patience: int, max_epochs: int | None
) -> None:
    if lr <= 0 or batch_size < 1 or not 0 <= improvement < 1 or patience < 1:
        raise ConfigError(
            f"fit: need lr > 0, batch_size >= 1, 0 <= improvement < 1 and patience >= 1, got lr={lr}, "
            f"batch_size={batch_size}, improvement={improvement}, patience={patience}"
        )
    if max_epochs is not None and max_epochs < 1:
        raise ConfigError(f"fit: max_epochs={max_epochs} must be at least 1, or None for no cap")
