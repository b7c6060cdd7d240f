"""Stacks of grid points, and their runs one by one, in milliseconds and with sums that do not depend on neighbours.

Layers of multiples of 8 units: an optimiser's vector lanes then end where a member's numbers do. The model is the
walk, which computes row by row; a matrix product for rows of all members would round by how many there are.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from mbrl.conf import Config, compose
from mbrl.conf.stack import points
from tests.fakes import Walk

SIZE = 4
"""O and A."""


class Point(gymnasium.Env):
    """A point in R^4 that is to stay at 0, for 6 steps."""

    observation_space = Box(-np.inf, np.inf, (SIZE,), np.float32)
    action_space = Box(-1, 1, (SIZE,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.obs, self.steps = self.np_random.uniform(-1, 1, SIZE).astype(np.float32), 0
        return self.obs.copy(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.obs, self.steps = self.obs + action, self.steps + 1
        return self.obs.copy(), -float(np.square(self.obs).sum()), False, self.steps == 6, {}


if "StackTest-v0" not in gymnasium.registry:
    gymnasium.register("StackTest-v0", entry_point=Point)


def walk(dataset: Any, *, seeds: Any, device: Any) -> Walk:
    """For dynamics=custom: noisy, with two members that differ, and an end."""
    return Walk(SIZE, SIZE, noise=0.1, disagreement=0.3, ends=lambda s: s[..., 0] > 1.5)


def write_data(path: Path, rows: int = 300) -> None:
    """Random transitions in D4RL's layout."""
    rng = np.random.default_rng(0)
    obs, following = rng.normal(size=(2, rows, SIZE)).astype(np.float32)
    action = rng.uniform(-1, 1, size=(rows, SIZE)).astype(np.float32)
    reward, ends = rng.normal(size=rows).astype(np.float32), np.arange(rows) % 50 == 49
    columns = {"observations": obs, "actions": action, "rewards": reward, "terminals": ends}
    np.savez(path, **columns, next_observations=following)


def small(folder: Path, *overrides: str) -> Config:
    """The configuration of a small run to <folder>/run, unless `out` says otherwise."""
    data = folder / "data.npz"
    if not data.exists():
        write_data(data)
    own = [
        "dataset=npz",
        f"dataset.source={data}",
        "dataset.env=tests.run.stacks:StackTest-v0",
        f"out={folder}/run",
    ]
    chosen = any(override.startswith("dynamics=") for override in overrides)
    model = [] if chosen else ["dynamics=custom", "dynamics._target_=tests.run.stacks.walk"]
    sizes = ["agent.num_critics=8", "train.updates=6", "seeds=[3,1]"]
    common = ["agent=sac", "device=cpu", "preset=debug", "overwrite=false", *sizes]
    return compose([*own, *model, *common, *overrides])


def singles(config: Config) -> dict[str, Config]:
    """The runs that the points of a stack are by themselves, by name; in folders beside the stack's."""
    return {p.name: replace(p.config, out=f"{config.out}-alone/{p.name}") for p in points(config)}
