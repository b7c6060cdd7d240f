"""How far diffusion samples follow the current joint policy, and how plausible they stay, by lambda."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import isnan
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mbrl.core.maths import all_finite
from mbrl.core.seeds import Streams
from mbrl.core.types import Policy, Transitions
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.source import Coda

Truth = Callable[[Tensor, Tensor], Sequence[Tensor]]
"""(obs [S, B, ...], action [S, B, ...]) -> (next_obs, reward [S, B], ...): one true step, NaN where there is none.
A game: lambda obs, action: (obs, game.reward(action)); a team in MuJoCo: JointTruth(env).step."""


@dataclass(frozen=True)
class Point:
    """What samples at one lambda are like, root mean squares over all rows that are alive, NaN if none is.

    weight: lambda; None for rows of the data. action_distance: of the rows' actions from the policy's at the rows'
    observations, an entry. reward_error: of reward from the true one, in deviations of the data's reward.
    step_error: of next_obs from the true one, in deviations of the data's step next_obs - obs, column by column;
    None where no step is measured. step_median: the same of the median row, which a few lost rows do not move.
    action_std: spread of the actions, an entry. void: share. known: share of the rows alive whose truth is known,
    which the errors are over. seeds: the same of each seed alone, where there are several.
    """

    weight: float | None
    action_distance: float
    reward_error: float
    step_error: float | None
    action_std: float
    void: float
    known: float = 1.0
    step_median: float | None = None
    seeds: tuple["Point", ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which knows no NaN: None in its place."""
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "seeds"}
        found = {k: None if v is None or isnan(v) else v for k, v in found.items()}
        return found | ({"seeds": [p.as_dict() for p in self.seeds]} if self.seeds else {})


@dataclass(frozen=True)
class Curve:
    """Points by lambda of one guide under one policy, and that of the data's own rows, where they were looked at.

    about: whatever JSON is to say of them besides (dataset, seeds, units, ...).
    """

    env: str
    policy: str
    guide: str
    points: Sequence[Point]
    data: Point | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = {"env": self.env, "policy": self.policy, "guide": self.guide, **self.about}
        data = None if self.data is None else self.data.as_dict()
        return found | {"data": data, "points": [p.as_dict() for p in self.points]}


def on_policyness(
    model: DiffusionModel,
    policy: Policy,
    truth: Truth,
    weights: Sequence[float],
    *,
    n: int = 1000,
    seeds: Sequence[int] = (0,),
    step_std: Tensor | None = None,
    **coda: Any,
) -> list[Point]:
    """A point for each lambda from n segments a seed, all from the same noise. coda: options of Coda.

    step_std [(N,) O]: deviations of the data's step, in which its error is measured; None: it is not. Raises what
    Coda raises.
    """
    found = []
    for weight in weights:
        source = Coda(model, weight=weight, **coda)
        rows, alive = source.draw(policy, n, Streams(seeds, "diagnose.diffusion", model.device))
        found.append(point(model, policy, truth, weight, rows, alive, step_std))
    return found


@torch.no_grad()
def point(
    model: DiffusionModel,
    policy: Policy,
    truth: Truth,
    weight: float | None,
    rows: Transitions,
    alive: Tensor,
    step_std: Tensor | None = None,
) -> Point:
    """The point of rows [S, B, ...] at one lambda (None: of the data), of those that are alive [S, B]."""
    next_obs, reward = truth(rows.obs, rows.action)[:2]
    away = (rows.action - policy.act(rows.obs)).flatten(2)
    error = (rows.reward - reward.to(rows.reward)).unsqueeze(-1) / model.shape.split(model.std).reward
    step = (rows.next_obs - next_obs.to(rows.obs)) / (1.0 if step_std is None else step_std)
    measured = _Measured(away, rows.action.flatten(2), error, step.flatten(2), alive)
    layout = model.shape.layout
    entries = sum(layout.action_dims), None if step_std is None else sum(layout.obs_dims)
    several = range(len(alive)) if len(alive) > 1 else ()
    each = tuple(_point(weight, measured.of(s), *entries) for s in several)
    return _point(weight, measured, *entries, seeds=each)


def step_deviations(rows: Transitions) -> Tensor:
    """Deviations [(N,) O] of next_obs - obs over rows [B, ...], 1 for columns that never change (and padding)."""
    std = (rows.next_obs - rows.obs).std(0, correction=0)
    return torch.where(std > 0, std, torch.ones_like(std))


class _Measured(NamedTuple):
    """[S, B, K] each: actions less the policy's, actions, reward (K = 1), next_obs less the true; alive [S, B]."""

    away: Tensor
    action: Tensor
    reward: Tensor
    step: Tensor
    alive: Tensor

    def of(self, seed: int) -> "_Measured":
        """One seed's, S = 1."""
        return _Measured(*(x[seed : seed + 1] for x in self))


def _point(
    weight: float | None, rows: _Measured, actions: int, wide: int | None, seeds: tuple[Point, ...] = ()
) -> Point:
    known = rows.alive & all_finite(rows.step) & rows.reward.isfinite().squeeze(-1)
    action = rows.action[rows.alive]
    return Point(
        weight=weight,
        action_distance=_rms(rows.away[rows.alive], actions),
        reward_error=_rms(rows.reward[known], 1),
        step_error=None if wide is None else _rms(rows.step[known], wide),
        action_std=_rms(action - action.mean(0), actions),
        void=float(1 - rows.alive.float().mean()),
        known=float(known.sum() / rows.alive.sum()),
        step_median=None if wide is None else _median(rows.step[known], wide),
        seeds=seeds,
    )


def _rms(x: Tensor, entries: int) -> float:
    """Root mean square over rows x [B, K] and `entries` of K, the others being padding, and 0; NaN for no rows."""
    return float((x.double().square().sum() / (len(x) * entries)).sqrt())


def _median(x: Tensor, entries: int) -> float:
    """Median over rows x [B, K] of a row's root mean square; NaN for no rows."""
    return float((x.double().square().sum(-1) / entries).sqrt().median()) if len(x) else torch.nan
