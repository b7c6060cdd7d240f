"""How far diffusion samples follow the current joint policy, and how plausible they stay, by lambda."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from math import isnan
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")  # No display is needed, or assumed.
import matplotlib.pyplot as plt
import torch
from torch import Tensor

from mbrl.core.maths import all_finite
from mbrl.core.seeds import Streams
from mbrl.core.types import Policy, Transitions
from mbrl.dynamics.diffusion.model import STD_FLOOR, DiffusionModel
from mbrl.dynamics.diffusion.source import Coda

Truth = Callable[[Tensor, Tensor], Sequence[Tensor]]
"""(obs [S, B, ...], action [S, B, ...]) -> (next_obs, reward [S, B], ...): one true step, NaN where there is none.
A game: lambda obs, action: (obs, game.reward(action)); a team in MuJoCo: JointTruth(env).step."""


TITLES = {
    "action_distance": "Distance to the joint policy",
    "reward_error": "Plausibility of the reward",
    "step_error": "Plausibility of the step",
}
AXES = {
    "action_distance": "RMS of sampled − current actions",
    "reward_error": "RMS error / deviation in the data",
    "step_error": "RMS error / deviation in the data",
}


@dataclass(frozen=True)
class Point:
    """What samples at one lambda are like, root mean squares over all rows that are alive, NaN if none is.

    action_distance: of sampled actions from the policy's at the sampled observations, an entry. reward_error and
    step_error: of sampled reward and next_obs from the true ones, in deviations of the data's columns; step_error
    is None where the observation never changes. action_std: spread of the sampled actions, an entry. void: share.
    """

    weight: float
    action_distance: float
    reward_error: float
    step_error: float | None
    action_std: float
    void: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which knows no NaN: None in its place."""
        return {k: None if v is None or isnan(v) else v for k, v in asdict(self).items()}


def on_policyness(
    model: DiffusionModel,
    policy: Policy,
    truth: Truth,
    weights: Sequence[float],
    *,
    n: int = 1000,
    seeds: Sequence[int] = (0,),
    **coda: Any,
) -> list[Point]:
    """A point for each lambda from n segments a seed, all from the same noise. coda: options of Coda.

    Raises what Coda raises.
    """
    found = []
    for weight in weights:
        source = Coda(model, weight=weight, **coda)
        rows, alive = source.draw(policy, n, Streams(seeds, "diagnose.diffusion", model.device))
        found.append(point(model, policy, truth, weight, rows, alive))
    return found


@torch.no_grad()
def point(
    model: DiffusionModel, policy: Policy, truth: Truth, weight: float, rows: Transitions, alive: Tensor
) -> Point:
    """The point of rows [S, B, ...] drawn at one lambda, of those that are alive."""
    shape = model.shape
    units = shape.split(model.std)
    obs_mask, action_mask = shape.layout.obs_mask(model.device), shape.layout.action_mask(model.device)
    obs_std = units.obs if shape.joint else units.obs.squeeze(-2)
    next_obs, reward = truth(rows.obs, rows.action)[:2]
    step = ((rows.next_obs - next_obs.to(rows.obs)) / obs_std).flatten(2)
    error = (rows.reward - reward.to(rows.reward)).unsqueeze(-1) / units.reward
    known = alive & all_finite(step) & error.isfinite().squeeze(-1)
    away = (rows.action - policy.act(rows.obs)).flatten(2)
    actions, wide = action_mask.sum(), obs_mask.sum()
    moving = bool((units.obs[obs_mask] > 1.01 * STD_FLOOR).any())
    centred = rows.action.flatten(2)[alive]
    return Point(
        weight=weight,
        action_distance=_rms(away[alive], int(actions)),
        reward_error=_rms(error[known], 1),
        step_error=_rms(step[known], int(wide)) if moving else None,
        action_std=_rms(centred - centred.mean(0), int(actions)),
        void=float(1 - alive.float().mean()),
    )


def draw_on_policyness(curves: Mapping[str, Sequence[Point]], file: Path | str, *, title: str = "") -> None:
    """The picture: distance, reward error and, where there is one, one-step error against lambda, a curve each.

    lambda = 0 stands left of the logarithmic axis' smallest value.
    """
    names = ["action_distance", "reward_error"]
    if any(p.step_error is not None for points in curves.values() for p in points):
        names.append("step_error")
    picture, axes = plt.subplots(
        1, len(names), figsize=(4 * len(names) + 2, 3.6), squeeze=False, layout="constrained"
    )
    least = min(p.weight for points in curves.values() for p in points if p.weight > 0)
    for axis, name in zip(axes[0], names, strict=True):
        if name != "action_distance":
            axis.set_yscale("log")
        for (label, points), marker in zip(curves.items(), cycle("osv^D"), strict=False):
            axis.plot(
                [p.weight for p in points],
                [getattr(p, name) for p in points],
                f"{marker}-",
                ms=4,
                label=label,
            )
        axis.set_xscale("symlog", linthresh=least)
        axis.set(xlabel="λ (0: unguided)", ylabel=AXES[name])
        axis.set_title(TITLES[name], fontsize=10)
    picture.legend(*axes[0, 0].get_legend_handles_labels(), fontsize=8, loc="outside right center")
    picture.suptitle(title, fontsize=10)
    picture.savefig(file, dpi=130)
    plt.close(picture)


def _rms(x: Tensor, entries: int) -> float:
    """Root mean square over rows x [B, K] and `entries` of K, the others being padding, and 0; NaN for no rows."""
    return float((x.double().square().sum() / (len(x) * entries)).sqrt())
