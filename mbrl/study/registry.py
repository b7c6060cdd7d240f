"""Every study by name. Its cells and scales are in mbrl/conf/study/<name>.yaml."""

from typing import Protocol

from mbrl.study import (
    polynomial_games,
    polynomial_games_cell,
    polynomial_games_picture,
    simple_env,
    simple_env_cell,
    simple_env_picture,
)
from mbrl.study.audits import correlation_values, error_values
from mbrl.study.augmentation_picture import draw_augmentation
from mbrl.study.outputs import Row
from mbrl.study.own_cells import OwnCells
from mbrl.study.pictures import (
    against,
    draw_collapse,
    draw_correlation,
    draw_ensemble,
    draw_errors,
    draw_methods,
)
from mbrl.study.request import Request
from mbrl.study.runner import Study
from mbrl.study.values import curve_values, reach_values, source_values


class Runnable(Protocol):
    """What scripts/study.py starts."""

    def run(self, request: Request) -> list[Row]:
        """Run what is not finished yet, write rows and picture, and return the rows."""


STUDIES: dict[str, Runnable] = {
    "collapse": Study([curve_values], draw_collapse),
    "ensemble": Study([reach_values, curve_values], draw_ensemble),
    "mamujoco": Study([source_values, curve_values], draw_augmentation),
    "model_quality": Study(
        [reach_values],
        against(
            "weight", "method", "Return against the model's quality", "w: -1 untrained, 0 learned, 1 true"
        ),
    ),
    "penalty_correlation": Study([reach_values], draw_correlation, audit=correlation_values),
    "polynomial_games": OwnCells(
        polynomial_games_cell.Cell,
        polynomial_games_cell.Training,
        check=polynomial_games_cell.Learner,
        train=polynomial_games.train_cell,
        draw=polynomial_games_picture.draw,
        title=lambda cell: f"{cell.game} {cell.data} {cell.augmentation}",
    ),
    "reward_error": Study([reach_values], draw_errors, audit=error_values),
    "rollout_length": Study(
        [reach_values],
        against("horizon", "method", "Rollout length", "rollout length k", split="dynamics"),
    ),
    "simple_env": OwnCells(
        simple_env_cell.Cell,
        simple_env_cell.Training,
        check=simple_env_cell.Learner,
        train=simple_env.train_cell,
        draw=simple_env_picture.draw,
        title=lambda cell: f"{cell.reward_map} {cell.method}",
    ),
    "true_dynamics": Study([reach_values, curve_values], draw_methods),
}
