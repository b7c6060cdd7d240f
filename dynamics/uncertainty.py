"""How far a model's members doubt themselves or each other: pure functions of a Prediction, [..., B] each.

Published code counts different members and columns under one name, so each measure states which ones as
arguments, with the convention of its paper as the default:
members: "all", or "elites", those that rollouts sample from.
dims: "obs", or "obs_reward" where the reward's column counts as one more.
Every measure is exactly 0 where the members agree to the last bit and have no noise, as true dynamics do.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, MismatchError, unknown_name
from mbrl.core.types import Prediction

Measure = Callable[..., Tensor]
"""(prediction, *, members, dims) -> u [..., B] >= 0."""


def max_aleatoric(prediction: Prediction, *, members: str = "all", dims: str = "obs_reward") -> Tensor:
    """max_i ||sigma_i||_2, the largest norm of a member's own standard deviations, [..., B].

    MOPO (Yu et al. 2020, sec. 4.3), as in its official code and in OfflineRL-Kit: all 7 members, reward
    included. unifloral counts elites only.
    """
    _, std = _counted(prediction, members, dims)
    return std.norm(dim=-1).amax(dim=-2)


def max_pairwise_diff(prediction: Prediction, *, members: str = "all", dims: str = "obs") -> Tensor:
    """max_i ||mu_i - mean_j mu_j||_2, the member furthest from the mean of all, [..., B].

    The other penalty of MOPO's official code, OfflineRL-Kit's "pairwise-diff": all members, next_obs only.
    """
    mean, _ = _counted(prediction, members, dims)
    return _deviations(mean).norm(dim=-1).amax(dim=-2)


def ensemble_std(prediction: Prediction, *, members: str = "all", dims: str = "obs") -> Tensor:
    """sqrt(mean over dims of Var_i mu_i), [..., B]; the variance divides by the number of members.

    OfflineRL-Kit's "ensemble_std", with numpy's variance, which has no correction: all members, next_obs only.
    """
    mean, _ = _counted(prediction, members, dims)
    return _deviations(mean).square().mean(dim=-3).mean(dim=-1).sqrt()


def max_discrepancy(prediction: Prediction, *, members: str = "all", dims: str = "obs") -> Tensor:
    """max_{i,j} ||mu_i - mu_j||_2, the two members furthest apart, [..., B].

    MOReL's disc(s, a) (Kidambi et al. 2020, sec. 4), as in its official code: all members, next_obs only.
    unifloral counts elites, and the reward too.
    """
    mean, _ = _counted(prediction, members, dims)
    furthest = torch.zeros_like(mean[..., 0, :, 0])
    for i in range(1, mean.shape[-3]):
        # One member against those before it: E distances at a time, not E * E.
        apart = (mean[..., :i, :, :] - mean[..., i : i + 1, :, :]).norm(dim=-1)
        furthest = torch.maximum(furthest, apart.amax(dim=-2))
    return furthest


def _counted(prediction: Prediction | None, members: str, dims: str) -> tuple[Tensor, Tensor]:
    """Mean and std of the members and columns that count. Raises ConfigError for an unknown name of either."""
    if prediction is None:
        raise MismatchError(
            "this model does not say what its members predict, so it has no uncertainty to read"
        )
    for kind, name, known in (("members", members, MEMBERS), ("dims", dims, DIMS)):
        if name not in known:
            raise ConfigError(unknown_name(kind, name, known))
    mean, std = MEMBERS[members](prediction)
    return DIMS[dims](mean), DIMS[dims](std)


def _elites(prediction: Prediction) -> tuple[Tensor, Tensor]:
    index = prediction.elites[..., None, None]
    mean, std = (torch.take_along_dim(x, index, dim=-3) for x in prediction[:2])
    return mean, std


def _deviations(mean: Tensor) -> Tensor:
    """mu_i - mean_j mu_j [..., E, B, D], taken relative to the first member: exactly 0 where all are equal."""
    relative = mean - mean[..., :1, :, :]
    return relative - relative.mean(dim=-3, keepdim=True)


MEMBERS: dict[str, Callable[[Prediction], tuple[Tensor, Tensor]]] = {
    "all": lambda prediction: prediction[:2],
    "elites": _elites,
}
DIMS: dict[str, Callable[[Tensor], Tensor]] = {"obs": lambda x: x[..., :-1], "obs_reward": lambda x: x}

MEASURES: dict[str, Measure] = {
    "max_aleatoric": max_aleatoric,
    "max_pairwise_diff": max_pairwise_diff,
    "ensemble_std": ensemble_std,
    "max_discrepancy": max_discrepancy,
}
"""Every measure by its name; each listed one is run through the tests."""
