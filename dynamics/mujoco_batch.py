"""MuJoCo in batch: one environment step, that is `frame_skip` simulator steps, from many states at once.

A row whose physics MuJoCo gives up on (numbers not finite or beyond 1e10, where it warns and starts over from
its initial state) comes back as NaN: a reset is no transition of the environment. Such warnings are otherwise
silent: MuJoCo would print them and write a file MUJOCO_LOG.TXT into the working directory.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise

import mujoco
import numpy as np
from mujoco.rollout import Rollout

from mbrl.core.errors import ConfigError

Inside = Callable[[mujoco.MjData], Sequence[np.ndarray]]
"""Flat arrays of an MjData, views not copies, that hold what was computed inside the last simulator step."""

END_STATE = int(mujoco.mjtState.mjSTATE_FULLPHYSICS)
"""time, qpos, qvel, for models that `check_state_is_complete` lets pass."""
START_STATE = END_STATE | int(mujoco.mjtState.mjSTATE_WARMSTART | mujoco.mjtState.mjSTATE_CTRL)
"""The same, then the solver's first guess [nv], then controls."""

BEGIN = 1.0
"""Time at which every row starts. A reset puts it to 0, so a row that ends at another time than it should was
reset on its way or, in a rollout, stopped at a warning. The physics of these models does not read the time."""


class Rollouts:
    """Stepping through `mujoco.rollout`: the loop over rows and steps runs in C++ on `threads` threads.

    Returns states alone. Every row starts its solver afresh, so a row's result depends on nothing but itself.
    """

    def __init__(self, model: mujoco.MjModel, frame_skip: int, threads: int | None = None) -> None:
        check_state_is_complete(model)
        self.model, self.frame_skip, threads = model, frame_skip, threads or cores()
        self.data = [mujoco.MjData(model) for _ in range(threads)]
        self.pool = Rollout(nthread=threads if threads > 1 else 0)
        self.end = BEGIN + frame_skip * model.opt.timestep
        self._allocate(0)

    def _allocate(self, rows: int) -> None:
        """Buffers for so many rows, kept from call to call."""
        model, steps = self.model, self.frame_skip
        self.models = [model] * rows
        self.start = np.full((rows, 1 + model.nq + model.nv), BEGIN)
        self.control = np.empty((rows, steps, model.nu))
        self.states = np.empty((rows, steps, 1 + model.nq + model.nv))
        self.sensors = np.empty((rows, steps, model.nsensordata))

    def __call__(self, state: np.ndarray, control: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The next state [B, D] and an empty [B, 0] for state [B, D] float64 under control [B, A]."""
        rows = len(state)
        if rows == 0:
            return state.copy(), np.empty((0, 0))
        if rows > len(self.models):
            self._allocate(rows)
        self.start[:rows, 1:] = state
        self.control[:rows] = control[:, None]
        with quiet():
            self.pool.rollout(
                self.models[:rows],
                self.data,
                self.start[:rows],
                self.control[:rows],
                skip_checks=True,
                nstep=self.frame_skip,
                state=self.states[:rows],
                sensordata=self.sensors[:rows],
            )
        last = self.states[:rows, -1]
        return _lost_as_nan(last[:, 1:].copy(), last[:, 0], self.end), np.empty((rows, 0))


class Substeps:
    """Stepping row by row from Python, for environments that read what no state shows.

    MuJoCo's Runge-Kutta leaves body positions and constraint forces of its last stage behind, which belong to
    none of the states that a rollout returns. Some environments observe those, or pay for them.
    """

    def __init__(
        self, model: mujoco.MjModel, frame_skip: int, inside: Inside, threads: int | None = None
    ) -> None:
        check_state_is_complete(model)
        self.model, self.frame_skip, threads = model, frame_skip, threads or cores()
        self.data = [mujoco.MjData(model) for _ in range(threads)]
        self.views = [_places(inside(data)) for data in self.data]
        self.size = self.views[0][-1][0].stop
        self.pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self.end = BEGIN + frame_skip * model.opt.timestep

    def __call__(self, state: np.ndarray, control: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The next state [B, D], and what was computed inside the last step [B, L], for state [B, D] float64."""
        rows, width = state.shape
        starts = np.zeros((rows, 1 + width + self.model.nv + self.model.nu))
        starts[:, 0], starts[:, 1 : 1 + width] = BEGIN, state
        starts[:, 1 + width + self.model.nv :] = control  # after the solver's first guess, which is 0
        ends, inner = np.empty((rows, 1 + width)), np.empty((rows, self.size))
        bounds = np.linspace(0, rows, len(self.data) + 1).astype(int)
        parts = [slice(a, b) for a, b in pairwise(bounds)]
        work = [(thread, starts[part], ends[part], inner[part]) for thread, part in enumerate(parts)]
        with quiet():
            for _ in map(self._run, work) if self.pool is None else self.pool.map(self._run, work):
                pass
        return _lost_as_nan(ends[:, 1:].copy(), ends[:, 0], self.end), inner

    def _run(self, job: tuple[int, np.ndarray, np.ndarray, np.ndarray]) -> None:
        """The rows of one thread. Python's share of the time counts here, hence few calls a row."""
        thread, starts, ends, inner = job
        model, data, views, steps = self.model, self.data[thread], self.views[thread], self.frame_skip
        for start, end, found in zip(starts, ends, inner, strict=True):
            mujoco.mj_setState(model, data, start, START_STATE)
            mujoco.mj_step(model, data, steps)
            mujoco.mj_getState(model, data, end, END_STATE)
            for place, view in views:
                found[place] = view


def _places(views: Sequence[np.ndarray]) -> list[tuple[slice, np.ndarray]]:
    """Each view with its entries among all of them side by side."""
    stops = np.cumsum([view.size for view in views]).tolist()
    return [(slice(stop - view.size, stop), view) for stop, view in zip(stops, views, strict=True)]


def check_state_is_complete(model: mujoco.MjModel) -> None:
    """Raise ConfigError unless (time, qpos, qvel) is all the physics has: no actuator states, no plugins."""
    size = mujoco.mj_stateSize(model, END_STATE)
    if size != 1 + model.nq + model.nv:
        raise ConfigError(
            f"this model has {size - 1} physics states, more than its {model.nq} positions and {model.nv} "
            "velocities (actuator activations or plugins); true dynamics carry positions and velocities only"
        )


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def quiet() -> Iterator[None]:
    """MuJoCo's warnings go nowhere: what they are about shows in the results."""
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


def _lost_as_nan(state: np.ndarray, time: np.ndarray, end: float) -> np.ndarray:
    """state [B, D], in place: NaN in rows that did not arrive at `end`, or not at finite numbers."""
    lost = ~(np.abs(time - end) < 1e-9) | ~np.isfinite(state).all(-1)
    state[lost] = np.nan
    return state
