"""Replay buffer, evaluation and training loop of the published PyTorch codes: what ours are timed against.

In our own words: OfflineRL-Kit's and RAVL's numpy buffers, sampled field by field, turned into tensors, and then
joined with real rows; episodes played one after the other with the policy asked for one observation at a time;
updates, rollouts and evaluation in turn.
"""

from collections.abc import Mapping

import gymnasium
import numpy as np
import torch
from torch import Tensor

from mbrl.bench.naive_ensemble import Act
from mbrl.core.types import Transitions

Array = np.ndarray
FIELDS = ("obs", "action", "reward", "next_obs", "terminal")


class NaiveBuffer:
    """A ring of numpy arrays."""

    def __init__(self, capacity: int, device: torch.device) -> None:
        self.capacity, self.device = capacity, device
        self.arrays: dict[str, Array] = {}
        self.size = self.place = 0

    def add(self, rows: Mapping[str, Array]) -> None:
        """Append rows, over the oldest ones where the ring is full."""
        if not self.arrays:
            self.arrays = {k: np.zeros((self.capacity, *rows[k].shape[1:]), np.float32) for k in FIELDS}
        count = len(rows["reward"])
        where = np.arange(self.place, self.place + count) % self.capacity
        for key, array in self.arrays.items():
            array[where] = rows[key]
        self.place = (self.place + count) % self.capacity
        self.size = min(self.size + count, self.capacity)

    def sample(self, n: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """n rows with replacement, each field a tensor of its own on the device."""
        index = rng.integers(0, self.size, n)
        return {k: torch.as_tensor(array[index]).to(self.device) for k, array in self.arrays.items()}


def arrays(rows: Transitions) -> dict[str, Array]:
    """The fields of flat rows [B, ...] as numpy arrays."""
    return {key: getattr(rows, key).cpu().numpy() for key in FIELDS}


def mixed_batch(
    real: NaiveBuffer, synthetic: NaiveBuffer, n: int, real_rows: int, rng: np.random.Generator
) -> dict[str, Tensor]:
    """real_rows rows of one buffer, the others of n from the other one, joined field by field."""
    parts = real.sample(real_rows, rng), synthetic.sample(n - real_rows, rng)
    return {key: torch.cat([part[key] for part in parts]) for key in FIELDS}


def transitions(batch: Mapping[str, Tensor]) -> Transitions:
    """A sampled batch as the record that learners take."""
    unused = torch.zeros_like(batch["reward"], dtype=torch.int64)
    flags = {"terminal": batch["terminal"] > 0.5, "timeout": unused.bool()}
    return Transitions(**{**batch, **flags}, step=unused)


def naive_evaluation(env: gymnasium.Env, act: Act, episodes: int, cap: int) -> int:
    """Episodes of at most `cap` steps one by one, a policy call a step; returns the steps taken."""
    steps = 0
    for episode in range(episodes):
        obs, _ = env.reset(seed=episode)
        for _ in range(cap):
            obs, _, terminated, truncated, _ = env.step(act(obs.reshape(1, -1)).flatten())
            steps += 1
            if terminated or truncated:
                break
    return steps
