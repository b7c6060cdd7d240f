"""Guides in a game whose truth is known: a joint policy at one point, which the data covers or does not."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mbrl.core.seeds import Streams
from mbrl.diagnose.on_policyness import Point, on_policyness
from mbrl.dynamics.diffusion.cache import fit_diffusion_cached
from mbrl.dynamics.games.dataset import game_dataset
from mbrl.dynamics.games.game import make_game

WEIGHTS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
GUIDES: Mapping[str, Mapping[str, Any]] = {
    "posterior": {"guide": "posterior"},
    "posterior, no churn": {"guide": "posterior", "churn": 0.0},
    "conjugate": {"guide": "conjugate"},
    "noise-aware": {"guide": "noise_aware"},
    "noisy, damped": {"guide": "noisy", "schedule": "damped"},
    "denoised, damped": {"guide": "denoised", "schedule": "damped"},
}
OFF_DATA = "posterior, policy off the data"


class AtPoint:
    """The deterministic joint policy that always plays `action`, every agent the same."""

    deterministic = True

    def __init__(self, action: float) -> None:
        self.action = action

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """[S, B, N, 1]."""
        return torch.full_like(obs, self.action)


def game_curves(
    cache: Path | str,
    *,
    action: float = 0.6,
    rows: int = 10_000,
    n: int = 2000,
    weights: Sequence[float] = WEIGHTS,
    **fit: Any,
) -> dict[str, list[Point]]:
    """Sign agreement with the policy at (action, action): by every guide from uniform data, which covers it, and by
    `posterior` from data of the quadrant x >= 0, y <= 0, which does not. fit: options of fit_diffusion.
    """
    game = make_game("sign_agreement")

    def truth(obs: Tensor, played: Tensor) -> tuple[Tensor, Tensor]:
        return obs, game.reward(played)

    def curves(data: str, guides: Mapping[str, Mapping[str, Any]], **options: Any) -> dict[str, list[Point]]:
        dataset = game_dataset(game.name, data, rows, 0, options=options)
        model, _ = fit_diffusion_cached(cache, dataset, horizon=1, **fit)
        policy = AtPoint(action)
        return {k: on_policyness(model, policy, truth, weights, n=n, **how) for k, how in guides.items()}

    off = {OFF_DATA: GUIDES["posterior"]}
    return curves("uniform", GUIDES) | curves("quadrant", off, signs="+-")
