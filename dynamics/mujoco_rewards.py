"""What Gymnasium's MuJoCo environments pay, and when they end, for many rows at once.

Written after gymnasium/envs/mujoco (1.x), in its order of operations, so that numbers agree to the last bits. v4
and v5 differ in whether the step that ends an episode is paid for health: `paid`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Bounds = tuple[float, float]


class Moment(NamedTuple):
    """A simulator at one time, many rows: qpos [B, nq], qvel [B, nv], and what was computed inside the step that
    led here, inner [B, L] (see mbrl.dynamics.mujoco_tasks.Task)."""

    qpos: np.ndarray
    qvel: np.ndarray
    inner: np.ndarray


Reward = Callable[[Moment, np.ndarray, Moment], np.ndarray]
"""(before, action [B, A] on the environment's own scale, float32 (of a team float64), after) -> reward [B]."""

Rule = Callable[[Moment], np.ndarray]
"""Where the environment is now -> [B] bool."""


@dataclass(frozen=True)
class Forward:
    """HalfCheetah: forward velocity minus control cost."""

    dt: float
    weight: float
    cost: float

    def __call__(self, before: Moment, action: np.ndarray, after: Moment) -> np.ndarray:
        """Reward [B]."""
        velocity = (after.qpos[:, 0] - before.qpos[:, 0]) / self.dt
        return self.weight * velocity - control_cost(self.cost, action)


@dataclass(frozen=True)
class ForwardAlive:
    """Hopper, Walker2d, Ant: forward velocity of `position`, a bonus for health, minus control cost.

    paid: every row has the bonus, healthy or not (v4, where unhealthy rows end); else healthy ones only.
    """

    dt: float
    weight: float
    cost: float
    bonus: float
    paid: bool
    healthy: Rule
    position: Callable[[Moment], np.ndarray]

    def __call__(self, before: Moment, action: np.ndarray, after: Moment) -> np.ndarray:
        """Reward [B]."""
        velocity = (self.position(after) - self.position(before)) / self.dt
        bonus = self.bonus if self.paid else self.bonus * self.healthy(after)
        return (self.weight * velocity + bonus) - control_cost(self.cost, action)


@dataclass(frozen=True)
class Balance:
    """InvertedPendulum: 1 a step; paid: the last one too."""

    paid: bool

    def __call__(self, before: Moment, action: np.ndarray, after: Moment) -> np.ndarray:
        """Reward [B]."""
        return (~self.fallen(after) | self.paid).astype(np.float64)

    @staticmethod
    def fallen(at: Moment) -> np.ndarray:
        """[B] bool: |angle| > 0.2 rad, or anything not finite."""
        return ~finite(at) | (np.abs(at.qpos[:, 1]) > 0.2)


@dataclass(frozen=True)
class DoubleBalance:
    """InvertedDoublePendulum: a bonus minus the tip's distance from (0, 2 m) and the poles' speeds.

    paid: the last step's bonus, too. inner: the tip's x, y, z, then constraint forces.
    """

    bonus: float
    paid: bool

    def __call__(self, before: Moment, action: np.ndarray, after: Moment) -> np.ndarray:
        """Reward [B]."""
        x, height = after.inner[:, 0], after.inner[:, 2]
        v1, v2 = after.qvel[:, 1], after.qvel[:, 2]
        distance = 0.01 * x**2 + (height - 2) ** 2
        speed = 0.001 * v1**2 + 0.005 * v2**2
        return self.bonus * (~self.fallen(after) | self.paid) - distance - speed

    @staticmethod
    def fallen(at: Moment) -> np.ndarray:
        """[B] bool: the tip is no higher than 1 m."""
        return at.inner[:, 2] <= 1


def never(at: Moment) -> np.ndarray:
    """No state is terminal."""
    return np.zeros(len(at.qpos), dtype=bool)


def control_cost(weight: float, action: np.ndarray) -> np.ndarray:
    """weight * sum a^2 [B] for an action [B, A], in the precision that the environment's own product has.

    For float32 that is float32, but float64 before numpy 2, which took a Python number for float64.
    """
    return weight * np.square(action).sum(-1).astype((weight * action.dtype.type(1)).dtype)


def within(x: np.ndarray, bounds: Bounds) -> np.ndarray:
    """low < x < high; False for NaN."""
    return (bounds[0] < x) & (x < bounds[1])


def finite(at: Moment) -> np.ndarray:
    """[B] bool: positions and velocities all are."""
    return np.isfinite(at.qpos).all(-1) & np.isfinite(at.qvel).all(-1)
