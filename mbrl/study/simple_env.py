"""The study `simple_env`: when does the base procedure fail at the edge of reach, and which cure works where?

After section 5 of Sims et al. 2024, in a world whose truth is known (mbrl.dynamics.simple_world). A cell is a
reward map and a method, trained as one stack of seeds; a row says what fraction of them failed. A seed fails if,
over its last three evaluations, it gains less than half of what lies between doing nothing and the optimum.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from mbrl.study.simple_env_cell import Cell, Learner, Training
from mbrl.study.simple_env_measure import (
    failed,
    penalty_quantiles,
    reference_returns,
    snapshot,
    trajectories,
)

Row = dict[str, Any]
LAST = 3
"""Evaluations at the end over which a seed's return is averaged for the verdict."""


def train_cell(cell: Cell, plan: Training, bar: Any | None = None) -> Row:
    """Train one stack and say what came of it."""
    learner, looks = Learner(cell, plan), []
    while learner.update < plan.updates:
        chunk = min(plan.eval_every, plan.updates - learner.update)
        learner.advance(chunk)
        looks.append((learner.update, snapshot(learner)))
        if bar is not None:
            bar.update(chunk)
    return row_of(learner, looks)


def row_of(learner: Learner, looks: Sequence[tuple[int, dict[str, Tensor]]]) -> Row:
    """Settings, verdict, figures of the last look (means over seeds), and the course of the run."""
    cell, plan, method = learner.cell, learner.plan, learner.method
    nothing, best = reference_returns(learner.truth)
    returns = torch.stack([look["return"] for _, look in looks[-LAST:]]).mean(0)
    verdict = failed(returns, nothing, best)
    final = looks[-1][1]
    return {
        **asdict(cell),
        **asdict(method),
        "seeds": list(plan.seeds),
        "updates": plan.updates,
        "failed": verdict.double().mean().item(),
        "failed_seeds": [s for s, f in zip(plan.seeds, verdict.tolist(), strict=True) if f],
        "return_mean": number(returns.mean()),
        "returns": numbers(returns),
        "nothing_return": nothing,
        "optimum_return": best,
        "threshold_return": (nothing + best) / 2,
        **{name: number(value.mean()) for name, value in final.items() if name != "return"},
        "q_minus_oracle_seeds": numbers(final["q_minus_oracle"]),
        "penalty_quantiles": {k: numbers(v) for k, v in penalty_quantiles(learner).items()},
        "course": {
            "update": [update for update, _ in looks],
            "returns": [numbers(look["return"]) for _, look in looks],
            **{k: [number(look[k].mean()) for _, look in looks] for k in ("q", "oracle_q")},
        },
        "episodes": [[numbers(state, 2) for state in path] for path in trajectories(learner)],
        "training": {k: v for k, v in asdict(plan).items() if k not in ("seeds", "updates")},
    }


def number(value: Tensor, digits: int = 4) -> float | None:
    """A rounded float; None where it is not finite, since JSON has no NaN."""
    return round(value.item(), digits) if bool(value.isfinite()) else None


def numbers(values: Tensor, digits: int = 4) -> list[float | None]:
    """`number` of each entry."""
    return [number(v, digits) for v in values]
