"""OMAR's search for better actions: a sampler that its own best draws move, without gradients of the critic.

Pan et al. 2022 (arXiv 2111.11188), in the two forms of the authors' code; all states, agents and seeds at once.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mbrl.core.seeds import Streams

Value = Callable[[Tensor], Tensor]
"""Own actions [S, R, B, N, A] -> their values [S, N, R, B]."""
Moments = tuple[Tensor, Tensor]
"""Mean and std [S, B, N, A] of the next draws."""
Move = Callable[[Tensor, Tensor], Moments]
"""(actions [S, R, B, N, A], values [S, R, B, N]) -> the moments of the next draws."""


def by_elites(count: int) -> Move:
    """Mean and (unbiased) std of the `count` best, the cross-entropy method: the authors' code for MuJoCo."""

    def move(action: Tensor, value: Tensor) -> Moments:
        best = keep_best(action, value, count)[0]
        return best.mean(dim=1), best.std(dim=1, correction=1 if count > 1 else 0)

    return move


def by_softmax(beta: float) -> Move:
    """Mean with weights exp(beta Q) / sum, and root mean squared distance from it: for particles."""

    def move(action: Tensor, value: Tensor) -> Moments:
        mean = (value.mul(beta).softmax(dim=1).unsqueeze(-1) * action).sum(dim=1)
        return mean, (action - mean.unsqueeze(1)).square().mean(dim=1).sqrt()

    return move


def keep_best(action: Tensor, value: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` best along R of actions [S, R, B, N, A] by values [S, R, B, N], best first, and their values."""
    value, index = value.topk(count, dim=1)
    return action.gather(1, index.unsqueeze(-1).expand(*index.shape, action.shape[-1])), value


@torch.no_grad()
def search(
    value: Value,
    policies: Tensor,
    own: Tensor,
    streams: Streams,
    move: Move,
    *,
    iterations: int,
    samples: int,
    keep: int,
    std: float,
) -> Tensor:
    """The best action known for every agent at every row, [S, B, N, A]: its policy's, or one of the last draws.

    policies [S, B, N, A]: the current actions, own [S, N, B] their values. The sampler begins at N(0, std^2) and
    clips its draws to the bounds; the `keep` best of an iteration stand beside the next one's draws.
    """
    mean, spread = torch.zeros_like(policies), torch.full_like(policies, std)
    policies, own = policies.unsqueeze(1), own.transpose(1, 2).unsqueeze(1)
    kept, kept_value = policies[:, :0], own[:, :0]
    for _ in range(iterations):
        noise = streams.randn(samples, *mean.shape[1:])
        drawn = (mean.unsqueeze(1) + spread.unsqueeze(1) * noise).clamp_(-1.0, 1.0)
        pool = torch.cat([drawn, kept], dim=1)
        found = torch.cat([value(drawn).permute(0, 2, 3, 1), kept_value], dim=1)
        mean, spread = move(pool, found)
        kept, kept_value = keep_best(pool, found, keep)
    rivals, judged = torch.cat([policies, pool], dim=1), torch.cat([own, found], dim=1)
    return keep_best(rivals, judged, 1)[0].squeeze(1)
