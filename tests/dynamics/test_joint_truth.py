"""One true step of joint rows against the team's own environment, stepped from the same states."""

import numpy as np
import pytest
import torch

from mbrl.core.errors import ConfigError, DataError, MismatchError
from mbrl.core.types import EnvSpec
from mbrl.dynamics.joint_truth import JointTruth
from mbrl.run.envs import make_env, sim_state

IDS = ("mamujoco/HalfCheetah-2x3-v1", "mamujoco/HalfCheetah-6x1-v1", "mamujoco/Hopper-3x1-v1")


def recorded(env_id, steps=60, push=None):
    """Rows of the environment under random actions: obs, action, next_obs, reward, terminal, sim_state.

    push: set velocities of this size before each step.
    """
    env, rng = make_env(EnvSpec(env_id)), np.random.default_rng(0)
    obs, _ = env.reset(seed=0)
    rows = []
    for _ in range(steps):
        if push:
            data = env.unwrapped.data
            env.unwrapped.set_state(data.qpos, push * rng.uniform(-1, 1, data.qvel.shape))
            obs = env.unwrapped._observations(env.unwrapped.team._get_obs())
        action = rng.uniform(-0.5, 0.5, env.action_space.shape).astype(np.float32)
        state = sim_state(env)
        # As a start of the true dynamics: a step depends on the state alone.
        env.unwrapped.data.qacc_warmstart[:] = 0
        next_obs, reward, terminal, _, _ = env.step(action)
        rows.append((obs, action, next_obs, reward, terminal, state))
        obs = env.reset(seed=len(rows))[0] if terminal else next_obs
    return tuple(torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))


@pytest.mark.parametrize("env_id", IDS)
def test_a_step_is_the_environments(env_id):
    obs, action, next_obs, reward, terminal, _ = recorded(env_id)
    found = JointTruth(EnvSpec(env_id), threads=1).step(obs, action)
    assert found.known.all()
    assert (found.disagreement == 0).all()
    torch.testing.assert_close(found.next_obs.double(), next_obs, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.reward.double(), reward, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.terminal, terminal)
    assert terminal.any() == ("Hopper" in env_id)


def test_leading_axes_and_padding():
    env_id = IDS[2]
    obs, action, *_ = recorded(env_id, 12)
    truth = JointTruth(EnvSpec(env_id), threads=1)
    flat = truth.step(obs, action)
    shaped = truth.step(obs.view(2, 6, 3, 9).float(), action.view(2, 6, 3, 1))
    assert shaped.next_obs.shape == (2, 6, 3, 9)
    assert shaped.next_obs.dtype == shaped.reward.dtype == torch.float32
    torch.testing.assert_close(shaped.next_obs.view(12, 3, 9), flat.next_obs, rtol=1e-4, atol=1e-4)
    assert not shaped.next_obs[..., 0, 8].any()


def test_contradictions_are_averaged():
    """Agent 0 of Hopper sees the torso's height 0.3 higher than the two others: the mean is 0.1 higher."""
    env_id = IDS[2]
    obs, action, *_ = recorded(env_id, 5)
    truth = JointTruth(EnvSpec(env_id), threads=1)
    place = truth.seen[:8].tolist().index(0)
    wrong = obs.clone()
    wrong[:, 0, place] += 0.3
    whole, disagreement = truth.robot_obs(wrong)
    before, _ = truth.robot_obs(obs)
    torch.testing.assert_close(whole[:, 0], before[:, 0] + 0.1)
    torch.testing.assert_close(whole[:, 1:], before[:, 1:])
    torch.testing.assert_close(disagreement, torch.full((5,), 0.3, dtype=torch.float64))
    torch.testing.assert_close(truth.step(wrong, action).disagreement, torch.full((5,), 0.3))
    # The projection is the nearest: no other robot observation has views closer to these.
    views = truth.layout.flat_obs(wrong)
    own = (views - whole[:, truth.seen]).square().sum()
    for shift in (-0.01, 0.01):
        moved = whole.clone()
        moved[:, 0] += shift
        assert (views - moved[:, truth.seen]).square().sum() > own


def test_what_no_observation_shows():
    env_id = IDS[2]
    obs, action, *_ = recorded(env_id, 6)
    truth = JointTruth(EnvSpec(env_id), threads=1)
    odd = obs.clone()
    odd[1] = torch.where(odd[1] == odd[1, 2, 5], 10.0, odd[1])  # a velocity that all agents see
    odd[2, 0, 0] = torch.nan
    lost = action.clone()
    lost[3, 1, 0], lost[4, 1, 0] = torch.inf, torch.nan
    found = truth.step(odd, lost)
    assert found.known.tolist() == [True, False, False, False, False, True]
    assert found.next_obs[1].isfinite().all()
    assert found.next_obs[2:5][..., 0].isnan().all()
    assert found.terminal[2:5].all()


def test_a_known_state_shows_what_is_clipped():
    env_id = IDS[2]
    obs, action, next_obs, _, _, state = recorded(env_id, 40, push=15.0)
    truth = JointTruth(EnvSpec(env_id), threads=1)
    clipped = (truth.robot_obs(obs)[0].abs() >= 10).any(-1)
    assert clipped.any()
    assert (truth.step(obs, action).known != clipped).all()
    found = truth.step(obs, action, state)
    assert found.known.all()
    torch.testing.assert_close(found.next_obs.double(), next_obs, rtol=0, atol=1e-5)
    with pytest.raises(MismatchError, match="not the state of the observation"):
        truth.step(obs, action, state + 1)


@pytest.mark.parametrize(
    ("env_id", "reason"),
    [
        ("mamujoco/Walker2d-2x3-v1", "velocities as they are.*HalfCheetah and Hopper are exact"),
        ("mamujoco/Ant-4x2-v1", "contact forces"),
        ("mamujoco/ManySegmentSwimmer-10x2-v1", "no mapping"),
        ("mamujoco/Reacher-2x1-v1", "no mapping"),
        ("mamujoco/Swimmer-2x1-v1", "true dynamics"),
        ("Hopper-v5", "no team that shares one robot"),
        ("game/TwinPeaks-v0", "no team that shares one robot"),
        ("mamujoco/Hopper-9x9-v1", "not registered"),
    ],
)
def test_others_are_refused_with_the_reason(env_id, reason):
    with pytest.raises(ConfigError, match=reason):
        JointTruth(EnvSpec(env_id))


def test_rows_of_other_agents():
    truth = JointTruth(EnvSpec(IDS[0]), threads=1)
    with pytest.raises(DataError, match="obs ends in"):
        truth.step(torch.zeros(4, 3, 9), torch.zeros(4, 3, 1))


def test_another_mujoco_is_refused():
    with pytest.raises(MismatchError, match="3.6.0"):
        JointTruth(EnvSpec(IDS[2], versions={"mujoco": "3.6.0"}))


def test_joints_in_another_order_than_the_agents():
    """Which no robot that is exact has by itself."""
    obs, action, *_ = recorded(IDS[2], 8)
    truth = JointTruth(EnvSpec(IDS[2]), threads=1)
    plain = truth.step(obs, action.flip(-2))
    truth.moved = truth.moved[::-1].copy()
    torch.testing.assert_close(truth.step(obs, action).next_obs, plain.next_obs, rtol=0, atol=0)
    assert (truth.step(obs, action.flip(-2)).next_obs != plain.next_obs).any()
