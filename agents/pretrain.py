"""Behaviour cloning of a stochastic actor before any other learning, as RAMBO's published code does by default."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mbrl.agents.networks import Actor
from mbrl.agents.optim import adam, step
from mbrl.core.errors import DataError, DivergenceError
from mbrl.core.maths import squashed_log_prob
from mbrl.core.progress import progress as progress_bar
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions

EDGE = 1e-6
"""Actions nearer to -1 or 1 than this have no usable density: atanh goes to infinity there."""


def clone_behaviour(
    actor: Actor,
    data: Transitions,
    *,
    seeds: Sequence[int],
    epochs: int = 50,
    lr: float = 1e-4,
    batch_size: int = 256,
    progress: bool = True,
    on_epoch: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """Maximise E[ log pi(a|s) ] over flat rows [n], in place; returns the last epoch's mean -log pi(a|s) [S].

    Each epoch goes through the rows in a new order, a seed each; rows left over from the last whole batch wait for
    the next epoch. A row with an action entry within EDGE of -1 or 1 is left out (the official code leaves out the
    batch it is in). on_epoch: told the epoch, from 1, and its mean [S]. The optimiser is dropped at the end. Raises
    DataError if no row is left, DivergenceError naming seed and epoch for a loss that is not finite.
    """
    usable = data[(data.action.abs() <= 1 - EDGE).all(dim=-1)]
    if len(usable) == 0:
        raise DataError(
            f"no row to clone: each of the {len(data)} actions has an entry at -1 or 1, where a squashed Gaussian "
            "has no density"
        )
    streams = Streams(seeds, "agent.pretrain", usable.obs.device)
    parameters = list(actor.parameters())
    optimiser, size = adam(parameters, lr), min(batch_size, len(usable))
    batches, mean = len(usable) // size, torch.full((len(streams),), torch.nan)
    with progress_bar(epochs * batches, "behaviour cloning", enabled=progress, unit="step") as bar:
        for epoch in range(1, epochs + 1):
            order, total = streams.permutation(len(usable)), torch.zeros(len(streams), device=streams.device)
            for rows in order[:, : batches * size].split(size, dim=-1):
                loss = -squashed_log_prob(usable.action[rows], *actor(usable.obs[rows])).mean(dim=-1)
                step(optimiser, loss, parameters)
                total += loss.detach()
                bar.update()
            mean = total / batches
            _check_finite(mean, streams, epoch)
            bar.set_postfix(epoch=epoch, loss=f"{mean.mean().item():.3g}")
            if on_epoch is not None:
                on_epoch(epoch, mean)
    return mean


def _check_finite(mean: Tensor, streams: Streams, epoch: int) -> None:
    lost = (~mean.isfinite()).nonzero().flatten().tolist()
    if lost:
        raise DivergenceError(
            f"seed {streams.seeds[lost[0]]}: behaviour cloning's loss is {mean[lost[0]].item()} in epoch {epoch}; "
            "lower agent.pretrain_lr"
        )
