"""Trajectories of environments with their simulator states, to compare the batched simulator with."""

from dataclasses import dataclass

import numpy as np

from mbrl.core.types import EnvSpec
from mbrl.run.envs import make_env, set_sim_state, sim_state

ENVS = [
    *(
        EnvSpec(f"{name}-{version}")
        for name in ("HalfCheetah", "Hopper", "Walker2d", "InvertedPendulum", "InvertedDoublePendulum")
        for version in ("v4", "v5")
    ),
    EnvSpec("Ant-v4"),
    EnvSpec("Ant-v5", {"include_cfrc_ext_in_observation": False, "contact_cost_weight": 0.0}),
]


@dataclass(frozen=True)
class Trajectory:
    """Steps [T] one after the other; first: the step is its episode's first, so its state was set by a reset."""

    state: np.ndarray
    action: np.ndarray
    next_state: np.ndarray
    obs: np.ndarray
    reward: np.ndarray
    terminal: np.ndarray
    first: np.ndarray

    def episodes(self, longest):
        """Slices of at most `longest` steps from each episode's start."""
        starts = np.flatnonzero(self.first)
        ends = [*starts[1:], len(self.first)]
        return [slice(a, min(b, a + longest)) for a, b in zip(starts, ends, strict=True)]


def record(spec, steps, seed=0, strength=1.2):
    """The environment's own trajectory: waves, then noise, by turns; some actions beyond their bounds."""
    env, rng, rows, first = make_env(spec), np.random.default_rng(seed), [], True
    env.reset(seed=seed)
    size = env.action_space.shape[0]
    for t in range(steps):
        wave, noise = np.sin(0.2 * t + np.arange(size)), rng.uniform(-1, 1, size)
        action = (strength * (wave if t // 50 % 2 else noise)).astype(np.float32)
        before = sim_state(env)
        obs, reward, terminal, timeout, _ = env.step(action)
        rows.append((before, action, sim_state(env), obs, reward, terminal, first))
        if first := terminal or timeout:
            env.reset()
    env.close()
    return Trajectory(*map(np.array, zip(*rows, strict=True)))


def step_from(spec, states, actions):
    """What env.step gives from each of the states: next state, obs, reward and terminal."""
    env, rows = make_env(spec), []
    for state, action in zip(states, actions, strict=True):
        env.reset(seed=0)  # the time limit starts over
        set_sim_state(env, state)
        obs, reward, terminal, _, _ = env.step(action)
        rows.append((sim_state(env), obs, reward, terminal))
    env.close()
    return tuple(map(np.array, zip(*rows, strict=True)))
