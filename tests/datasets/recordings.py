"""Recordings for the writers' tests: real steps of a MuJoCo environment under random actions."""

import torch

from mbrl.core.types import EnvSpec
from mbrl.datasets.recording import Recording
from mbrl.run.replay import Replay


def stepped(
    env_id: str = "Hopper-v5",
    steps: int = 64,
    *,
    seed: int = 0,
    dataset_id: str = "test/Hopper-v5/random-v0",
    **kwargs,
) -> Recording:
    """Uniform actions, a few terminal episodes, the last one cut."""
    replay = Replay(EnvSpec(env_id, kwargs), steps, seed=seed, purpose="test")
    generator = torch.Generator().manual_seed(seed)
    actions = 2 * torch.rand(steps, *replay.arrays["action"].shape[1:], generator=generator) - 1
    for action in actions.numpy():
        replay.step(action)
    replay.close()
    return replay.recording("uniform random actions", dataset_id)
