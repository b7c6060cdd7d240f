"""Recorded simulator states, against Gymnasium's own environments."""

import gymnasium
import numpy as np
import pytest
import torch

from mbrl.core.types import EnvSpec
from mbrl.datasets import from_arrays
from tests.datasets.layouts import Episode, columns


def recorded(id: str, steps: int = 40) -> dict:
    """Random steps of one environment, simulator state included."""
    env = gymnasium.make(id)
    env.action_space.seed(0)
    obs, _ = env.reset(seed=0)
    rows = {
        name: [] for name in ("observations", "qpos", "qvel", "actions", "rewards", "timeouts", "terminals")
    }
    for _ in range(steps):
        data = env.unwrapped.data
        action = env.action_space.sample()
        space = env.action_space
        unit = 2 * (action - space.low) / (space.high - space.low) - 1
        state = {"observations": obs, "qpos": data.qpos.copy(), "qvel": data.qvel.copy(), "actions": unit}
        obs, reward, terminated, truncated, _ = env.step(action)
        ended = {"rewards": reward, "terminals": terminated, "timeouts": truncated}
        for name, value in (state | ended).items():
            rows[name].append(value)
        if terminated or truncated:
            obs, _ = env.reset()
    env.close()
    rows["timeouts"][-1] = True
    return {name: np.array(values) for name, values in rows.items()}


@pytest.mark.parametrize(
    "name",
    [
        "HalfCheetah",
        "Hopper",
        "Walker2d",
        "Ant",
        "Swimmer",
        "Humanoid",
        "InvertedPendulum",
        "InvertedDoublePendulum",
    ],
)
def test_a_true_state_is_kept_and_a_shifted_one_is_not(name):
    data = recorded(f"{name}-v5")
    dataset = from_arrays(**data, env=EnvSpec(f"{name}-v5"))
    state = dataset.transitions.sim_state
    assert state.dtype == torch.float64
    want = np.concatenate([data["qpos"], data["qvel"]], axis=1)
    known = [i for i in range(len(want)) if not data["timeouts"][i] or data["terminals"][i]]
    np.testing.assert_array_equal(state.numpy(), want[known])
    shifted = data | {k: np.roll(data[k], 1, axis=0) for k in ("qpos", "qvel")}
    dataset = from_arrays(**shifted, env=EnvSpec(f"{name}-v5"))
    assert dataset.transitions.sim_state is None
    assert any("disagrees with the observations at" in note for note in dataset.stats.notes)


def test_one_wrong_row_is_enough():
    data = recorded("Hopper-v5")
    data["qvel"][7, 2] += 1e-2
    dataset = from_arrays(**data)
    assert dataset.transitions.sim_state is None
    assert (
        "simulator state dropped: it disagrees with the observations at 1 of 40 rows" in dataset.stats.notes
    )


def test_a_state_that_cannot_be_judged_is_dropped():
    data = columns([Episode(3, "terminal")])
    lonely = from_arrays(**data, qpos=np.zeros((3, 2)))
    assert any("needs both" in note for note in lonely.stats.notes)
    strange = from_arrays(**data, qpos=np.zeros((3, 9)), qvel=np.zeros((3, 9)))
    assert any("no known layout" in note for note in strange.stats.notes)
    broken = from_arrays(**data, qpos=np.full((3, 1), np.nan), qvel=np.zeros((3, 2)))
    assert broken.transitions.sim_state is None
