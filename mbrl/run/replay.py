"""Every step of one environment, kept: to learn from while it grows and to be written when it is done."""

import gymnasium
import numpy as np
import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, DivergenceError
from mbrl.core.seeds import Streams, child_seed
from mbrl.core.types import EnvSpec, Transitions
from mbrl.datasets.record import Record
from mbrl.datasets.recording import Recording
from mbrl.run.envs import current_versions, layout_of, make_env, sim_state

DEFAULT_CAP = 1000
"""Step cap for environments without a time limit of their own."""

SAMPLED = ("obs", "action", "reward", "next_obs", "terminal", "timeout")


class Replay:
    """One environment that is stepped, and its first `capacity` transitions in order.

    Of N agents the rows have an axis of agents, and a recording has their columns side by side.
    """

    def __init__(self, env: EnvSpec, capacity: int, *, seed: int, purpose: str) -> None:
        """Episode n starts from a seed made of (seed, purpose, n). Raises ConfigError as `make_env` does."""
        if capacity < 1:
            raise ConfigError(f"{capacity} steps to record; at least 1 is needed")
        self.env = make_env(env)
        # Some environments come with a library whose version matters, too.
        theirs = getattr(self.env.unwrapped, "versions", None)
        versions = current_versions() | (theirs if isinstance(theirs, dict) else {})
        self.spec = EnvSpec(env.id, dict(env.kwargs), versions)
        self.layout = layout_of(self.env)
        self.cap = self.env.spec.max_episode_steps or DEFAULT_CAP
        self.seed, self.purpose = seed, purpose
        self.size = self.episodes = 0
        self._reset()
        self.rows = _allocate(self.env, capacity, self.state)
        # Views of the same memory: numpy writes single rows, torch gathers batches.
        self.arrays = {name: tensor.numpy() for name, tensor in self.rows.items()}

    def step(self, action: np.ndarray) -> bool:
        """Advance by action [A] or [N, A], clipped to [-1, 1], and keep the row; True if that ended the episode.

        Raises DivergenceError for an action that is not finite.
        """
        if not np.isfinite(action).all():
            raise DivergenceError(f"{self.purpose}: the policy gave the action {action} at step {self.size}")
        row = {"obs": self.obs, "action": np.clip(action, -1.0, 1.0).astype(np.float32)}
        row["sim_state"] = self.state
        obs, row["reward"], terminal, timeout, _ = self.env.step(row["action"])
        self._see(obs)
        row["next_obs"], row["next_sim_state"] = self.obs, self.state
        self.length += 1
        # The MDP's end wins where both fall on one step: there is nothing to bootstrap from.
        row["terminal"], row["timeout"] = terminal, (timeout or self.length >= self.cap) and not terminal
        for name, array in self.arrays.items():
            array[self.size] = row[name]
        self.size += 1
        ended = bool(row["terminal"] or row["timeout"])
        if ended:
            self._reset()
        return ended

    def sample(self, n: int, streams: Streams) -> Transitions:
        """n of the rows so far, with replacement, [1, n, ...] on the CPU."""
        index = streams.randint(self.size, n)
        picked = {name: self.rows[name][index] for name in SAMPLED}
        return Transitions(**picked, step=torch.zeros_like(index))

    def recording(self, behaviour: str, dataset_id: str, rows: int | None = None) -> Recording:
        """The first `rows` rows (all by default), the last one marked timeout if its episode went on."""
        kept = {
            name: array[: self.size if rows is None else rows].copy() for name, array in self.arrays.items()
        }
        kept["timeout"][-1] |= not kept["terminal"][-1]
        if self.layout is not None:
            flat = {
                "obs": self.layout.flat_obs,
                "next_obs": self.layout.flat_obs,
                "action": self.layout.flat_action,
            }
            kept |= {name: fn(torch.from_numpy(kept[name])).numpy() for name, fn in flat.items()}
        has_state = "sim_state" in kept
        nq = self.env.unwrapped.model.nq if has_state else 0
        return Recording(
            Record(
                observations=kept["obs"],
                actions=kept["action"],
                rewards=kept["reward"],
                terminals=kept["terminal"],
                timeouts=kept["timeout"],
                next_observations=kept["next_obs"],
                qpos=kept["sim_state"][:, :nq] if has_state else None,
                qvel=kept["sim_state"][:, nq:] if has_state else None,
            ),
            next_qpos=kept["next_sim_state"][:, :nq] if has_state else None,
            next_qvel=kept["next_sim_state"][:, nq:] if has_state else None,
            env=self.spec,
            behaviour=behaviour,
            seed=self.seed,
            dataset_id=dataset_id,
            layout=self.layout,
        )

    def close(self) -> None:
        """Release the environment; the rows stay."""
        self.env.close()

    def _reset(self) -> None:
        # 31 bits, since some environments seed old generators that take no more.
        seed = child_seed(self.seed, self.purpose, str(self.episodes)) % 2**31
        self.episodes, self.length = self.episodes + 1, 0
        self._see(self.env.reset(seed=seed)[0])

    def _see(self, obs: np.ndarray) -> None:
        # A copy: some environments hand out one array and change it in place.
        self.obs, self.state = np.array(obs, dtype=np.float32), sim_state(self.env)


def _allocate(env: gymnasium.Env, capacity: int, state: np.ndarray | None) -> dict[str, Tensor]:
    o, a = env.observation_space.shape, env.action_space.shape
    rows = {"obs": torch.zeros(capacity, *o), "next_obs": torch.zeros(capacity, *o)}
    rows |= {"action": torch.zeros(capacity, *a), "reward": torch.zeros(capacity)}
    rows |= {name: torch.zeros(capacity, dtype=torch.bool) for name in ("terminal", "timeout")}
    if state is not None:
        shape = (capacity, len(state))
        rows |= {name: torch.zeros(shape, dtype=torch.float64) for name in ("sim_state", "next_sim_state")}
    return rows
