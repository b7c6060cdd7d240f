"""Every measurement of a run at one checkpoint; what cannot be measured is left out, with the reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mbrl.core.errors import DivergenceError
from mbrl.core.progress import progress as progress_bar
from mbrl.core.rows import Row
from mbrl.core.seeds import Streams
from mbrl.core.types import Agent, Dynamics, Source, Transitions, ValuedPolicy
from mbrl.datasets.normaliser import Normaliser
from mbrl.diagnose.correlation import Correlation, Doubting, correlations
from mbrl.diagnose.depths import Depths, at_data, draw_starts, locate, others, roll
from mbrl.diagnose.edge_of_reach import (
    HasTargets,
    describe,
    described,
    target_share,
    targets_by_step,
    values_by_step,
)
from mbrl.diagnose.figure import Figure, over
from mbrl.diagnose.model_error import OneStepError, PairedRewards, one_step_error, paired_rewards
from mbrl.diagnose.nearness import Nearness, nearness
from mbrl.diagnose.origin import Origin, origin
from mbrl.diagnose.value_bias import ValueBias, value_bias

DRAWN = 4
"""Rollouts drawn from the run's own source for each rollout that is simulated: they cost far less."""


@dataclass(frozen=True)
class Subject:
    """A run to be measured.

    agent: S stacked learners; data: flat rows on its device. source: draws the rows that it trains on, `horizon`
    steps a rollout (k, less what the run leaves out), from `dynamics`; None and 0 without rollouts. truth: the
    true dynamics, the same object as `dynamics` where the run has them, or None for the reason no_truth.
    allowed: numbers of the rows that rollouts may start from; None: all. real_share: of a training batch.
    history: rows of metrics.jsonl up to the checkpoint.
    """

    agent: Agent
    data: Transitions
    seeds: tuple[int, ...]
    source: Source | None = None
    dynamics: Dynamics | None = None
    horizon: int = 0
    truth: Dynamics | None = None
    no_truth: str = ""
    allowed: Tensor | None = None
    real_share: float = 1.0
    history: tuple[Row, ...] = ()

    @property
    def starts(self) -> Tensor:
        """Numbers of the rows of data that rollouts may start from."""
        return (
            torch.arange(len(self.data), device=self.data.obs.device)
            if self.allowed is None
            else self.allowed
        )


@dataclass(frozen=True)
class Measured:
    """Every figure there is; `missing` says of the others, by field name, why not. Tensors have S first.

    horizon: k, 0 without rollouts; exact: these are in the true dynamics.
    """

    horizon: int
    exact: bool = False
    values: dict[str, dict[str, Figure]] | None = None
    targets: Figure | None = None
    share: dict[str, Tensor] | None = None
    bias: ValueBias | None = None
    origin: Origin | None = None
    one_step: OneStepError | None = None
    paired: PairedRewards | None = None
    correlation: dict[str, Correlation] | None = None
    scatter: dict[str, Tensor] | None = None
    nearness: Nearness | None = None
    missing: dict[str, str] = field(default_factory=dict)


@torch.no_grad()
def measure(subject: Subject, *, starts: int = 500, mc_horizon: int = 300, progress: bool = True) -> Measured:
    """All that can be measured of the subject, from `starts` rollouts a seed; the same bits for the same seeds.

    mc_horizon: steps of a Monte-Carlo return. Raises DivergenceError if the policy's actions or values are not
    finite at the data.
    """
    agent, data, seeds, k = subject.agent, subject.data, subject.seeds, subject.horizon
    index, drawn = draw_starts(subject.starts, starts, seeds), None
    depths = at_data(agent, data, index, seeds)
    _check_finite(agent, depths, seeds)
    if k > 0:
        depths = roll(subject.dynamics, agent, data, index, k, seeds)
        streams = Streams(seeds, "audit.draw", data.obs.device)
        drawn = subject.source.draw(agent, DRAWN * starts, streams)
    with progress_bar(2 * (k + 1), "audit: returns", enabled=progress, unit="part") as bar:
        found = (
            _values(subject, depths, drawn)
            | _bias(subject, depths, mc_horizon, bar.update)
            | _model(subject, depths)
            | _correlation(subject, depths)
            | _nearness(subject, depths)
        )
    missing = {name: x for name, x in found.items() if isinstance(x, str)}
    exact = k > 0 and subject.dynamics is subject.truth
    return Measured(k, exact, **{n: x for n, x in found.items() if n not in missing}, missing=missing)


NO_CRITICS = "the agent has no critics"
NO_ROLLOUTS = "the run has no model rollouts"
Found = dict[str, object]


def _check_finite(agent: Agent, depths: Depths, seeds: Sequence[int]) -> None:
    rows = depths.rows[0]
    finite = rows.action.isfinite().all(-1).all(-1)
    if isinstance(agent, ValuedPolicy):
        finite &= agent.values(rows.obs).isfinite().flatten(1).all(-1)
    if not bool(finite.all()):
        bad = [seed for seed, fine in zip(seeds, finite.tolist(), strict=True) if not fine]
        raise DivergenceError(
            f"the networks of seeds {bad} give actions or values that are not finite at the data: there is nothing "
            "left to measure; take an earlier checkpoint"
        )


def _values(subject: Subject, depths: Depths, drawn: tuple[Transitions, Tensor] | None) -> Found:
    agent, data_obs = subject.agent, depths.rows[0].obs
    if not isinstance(agent, ValuedPolicy):
        return dict.fromkeys(("values", "targets", "share"), NO_CRITICS)
    if drawn is None:
        everywhere = [torch.ones(data_obs.shape[:-1], dtype=torch.bool, device=data_obs.device)]
        data = {name: over([x], everywhere) for name, x in described(agent, data_obs).items()}
        return {"values": {"data": data}} | dict.fromkeys(("targets", "share"), NO_ROLLOUTS)
    (rows, alive), k = drawn, subject.horizon
    found: Found = {"values": values_by_step(agent, rows, alive, data_obs, k)}
    found["targets"] = "the agent has no targets"
    if isinstance(agent, HasTargets):
        streams = Streams(subject.seeds, "audit.targets", data_obs.device)
        found["targets"] = targets_by_step(agent, rows, alive, k, streams)
    found["share"] = target_share(rows, alive, k, subject.data.terminal, subject.real_share)
    return found


def _bias(subject: Subject, depths: Depths, mc_horizon: int, tick: Callable[[], object]) -> Found:
    agent = subject.agent
    if not isinstance(agent, ValuedPolicy):
        return dict.fromkeys(("bias", "origin"), NO_CRITICS)
    if subject.truth is None:
        return dict.fromkeys(("bias", "origin"), subject.no_truth)
    bias = value_bias(agent, subject.truth, depths, subject.seeds, horizon=mc_horizon, tick=tick)
    if subject.horizon == 0:
        return {"bias": bias, "origin": NO_ROLLOUTS}
    return {
        "bias": bias,
        "origin": origin(bias, depths, agent.gamma, exact_model=subject.dynamics is subject.truth),
    }


def _model(subject: Subject, depths: Depths) -> Found:
    both, k, truth = ("one_step", "paired"), subject.horizon, subject.truth
    if k == 0:
        return dict.fromkeys(both, NO_ROLLOUTS)
    if truth is None:
        return dict.fromkeys(both, subject.no_truth)
    if subject.dynamics is truth:
        return dict.fromkeys(
            both, "the run's rollouts are in the true dynamics: there is no error to measure"
        )
    found: Found = {"one_step": one_step_error(truth, depths, _scale(subject.data), k, subject.seeds)}
    starts = subject.data[depths.index]
    if not bool(locate(truth, starts, depths.alive[0])[1].any()):
        return found | {"paired": "no start has a known simulator state"}
    paired = paired_rewards(subject.dynamics, truth, subject.agent, starts, k, subject.seeds)
    return found | {"paired": paired}


def _correlation(subject: Subject, depths: Depths) -> Found:
    agent, k, both = subject.agent, subject.horizon, ("correlation", "scatter")
    if not isinstance(agent, ValuedPolicy):
        return dict.fromkeys(both, NO_CRITICS)
    if k == 0:
        return dict.fromkeys(both, NO_ROLLOUTS)
    uncertainty = {name: torch.cat(u[:k], dim=-1) for name, u in depths.uncertainty.items()}
    if isinstance(agent, Doubting):
        streams = Streams(subject.seeds, "audit.uncertainty", subject.data.obs.device)
        own = [agent.uncertainty(rows, streams) for rows in depths.rows[:k]]
        uncertainty[type(agent).__name__.lower()] = torch.cat(own, dim=-1)
    if not uncertainty:
        return dict.fromkeys(both, "the model does not say what its members predict")
    spread = torch.cat([describe(agent.q_values(r.obs, r.action))["q_std"] for r in depths.rows[:k]], dim=-1)
    where = torch.cat(depths.alive[:k], dim=-1)
    shown = {"spread": spread, **uncertainty}
    scatter = {name: torch.where(where, x.double(), torch.nan) for name, x in shown.items()}
    return {"correlation": correlations(uncertainty, spread, where), "scatter": scatter}


def _nearness(subject: Subject, depths: Depths) -> Found:
    data, k, seeds = subject.data, subject.horizon, subject.seeds
    if k == 0:
        return {"nearness": NO_ROLLOUTS}
    index = others(subject.starts, depths.index, DRAWN * depths.index.shape[-1], seeds)
    if index.shape[-1] == 0:
        return {"nearness": "the data has no rows besides those that rollouts start from: take fewer starts"}
    updated = roll(subject.dynamics, subject.agent, data, index, k - 1, seeds, "audit.updated")
    return {"nearness": nearness(depths, updated, data.obs, _scale(data), seeds)}


def _scale(data: Transitions) -> Tensor:
    """The data's standard deviations [O], as models see them: floored."""
    normaliser = Normaliser((1,), data.obs_dim).to(data.obs.device)
    normaliser.fit(data.obs)
    return normaliser.std[0, 0]
