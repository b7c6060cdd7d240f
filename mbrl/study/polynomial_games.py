"""The study `polynomial_games`: who learns to coordinate from a game's data, and with which augmentation?

Tilbury et al. 2024 (arXiv 2407.01343) show best response under data to fail where the data's actions and the
policies' disagree; CODA (Hedman et al. 2026, arXiv 2604.23308) is to repair that. A cell is a game, its data and an
augmentation, trained as one stack of seeds; a row says what fraction of them reached a global optimum.
"""

import time
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from mbrl.run.experience import MixedData
from mbrl.study.polynomial_games_cell import Cell, Learner, Training, fitted_model, needs_model
from mbrl.study.polynomial_games_measure import good, reached, way, wilson

Row = dict[str, Any]
LAST = 3
"""Evaluations at the end over which a seed's return is averaged for the verdict."""
SHOWN = 24
"""Seeds whose way is kept in a row, for the picture."""
SAMPLED = 8
"""Of those, the seeds whose synthetic joint actions are kept, and as many of each."""


def train_cell(cell: Cell, plan: Training, bar: Any | None = None) -> Row:
    """Train one stack and say what came of it."""
    began = time.perf_counter()
    model = fitted_model(cell.game, cell.data, cell.agents, plan) if needs_model(cell) else None
    fitted = time.perf_counter()
    learner, course, samples = Learner(cell, plan, model), [], []
    course.append(joint_action(learner))
    while learner.update < plan.updates:
        chunk = min(plan.eval_every, plan.updates - learner.update)
        learner.advance(chunk)
        course.append(joint_action(learner))
        samples.append(synthetic_actions(learner))
        if bar is not None:
            bar.update(chunk)
    seconds = {"seconds": time.perf_counter() - fitted, "model_seconds": fitted - began}
    return row_of(learner, torch.stack(course), samples) | {k: round(v, 1) for k, v in seconds.items()}


def row_of(learner: Learner, course: Tensor, samples: list[list[Any]]) -> Row:
    """Settings, verdict, figures at the end (means over seeds), and the course [T, S, N, 1] of the policies."""
    cell, plan, game = learner.cell, learner.plan, learner.game
    final = course[-1]
    returns = game.reward(course[-LAST:].double()).mean(0)
    near, seeds = good(game, returns), len(plan.seeds)
    led = way(game, learner.start, learner.dataset.transitions.action)
    low, high = wilson(int(near.sum()), seeds)
    return {
        "game": cell.game,
        "data": cell.data,
        "optimum_in_data": bool(led.covered.double().mean() >= 0.95),
        "augmentation": cell.augmentation,
        "seeds": seeds,
        "reached": int(near.sum()) / seeds,
        "interval": [round(low, 4), round(high, 4)],
        "return_mean": round(returns.mean().item(), 4),
        "returns": _rounded(returns),
        "lowest_return": round(game.lowest, 4),
        "optimum_return": round(game.optimum.value, 4),
        "behaviour_return": round(learner.dataset.stats.return_mean, 4),
        "distance_mean": round(game.distance(final).mean().item(), 4),
        "way_covered": led.covered.double().mean().item(),
        "way_density": round(led.density.median().item(), 3),
        **{
            name: value
            for name, value in asdict(cell).items()
            if name not in ("game", "data", "augmentation")
        },
        **source_figures(learner),
        "updates": plan.updates,
        "course": {
            "update": [min(i * plan.eval_every, plan.updates) for i in range(len(course))],
            "reached": [round(share.item(), 4) for share in reached(game, course).double().mean(-1)],
            "action": _rounded(course[:, :SHOWN].squeeze(-1)),
            "mean_action": _rounded(course.mean(1).squeeze(-1)),
            "samples": samples,
        },
        "not_reached": [s for s, ok in zip(plan.seeds, near.tolist(), strict=True) if not ok],
        "training": {k: v for k, v in asdict(plan).items() if k not in ("seeds", "updates")},
    }


@torch.no_grad()
def joint_action(learner: Learner) -> Tensor:
    """[S, N, 1]: what the policies do."""
    obs = learner.dataset.transitions.obs[:1]
    return learner.agent.act(obs.expand(len(learner.plan.seeds), *obs.shape))[:, 0]


def source_figures(learner: Learner) -> dict[str, float | None]:
    """Of the latest synthetic rows, means over seeds: root mean square distance of their actions from the current
    policies', mean absolute error of their rewards against the game's; None without such rows."""
    if not isinstance(learner.experience, MixedData):
        return {"action_distance": None, "reward_error": None}
    rows = learner.experience.synthetic.storage
    gap = rows.action - joint_action(learner)[:, None, None]
    error = rows.reward - learner.game.reward(rows.action)
    return {
        "action_distance": round(gap.square().mean((1, 2, 3, 4)).sqrt().mean().item(), 4),
        "reward_error": round(error.abs().mean().item(), 4),
    }


def synthetic_actions(learner: Learner) -> list[Any]:
    """A few of the latest synthetic joint actions, of a few seeds; none where there are none."""
    if not isinstance(learner.experience, MixedData):
        return []
    rows = learner.experience.synthetic.storage
    return _rounded(rows.action[:SAMPLED, 0, :SAMPLED].squeeze(-1))


def _rounded(values: Tensor, digits: int = 3) -> list[Any]:
    return torch.round(values.double(), decimals=digits).tolist()
