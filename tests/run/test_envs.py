"""Environments: names, action scale, versions, simulator state."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.types import EnvSpec
from mbrl.run import envs


class Echo(gymnasium.Env):
    """Rewards the sum of the native action; its spaces are arguments."""

    def __init__(self, action_space=None, observation_space=None):
        self.action_space = action_space or Box(np.float32([-3, 0]), np.float32([3, 4]))
        self.observation_space = observation_space or Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), float(np.sum(action)), False, False, {"native": action}


@pytest.fixture(autouse=True)
def _registered():
    gymnasium.register("EchoTest-v0", entry_point=Echo)
    yield
    del gymnasium.registry["EchoTest-v0"]


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("Hoper-v5", "did you mean .*Hopper-v5"),
        ("Hopper-v9", "did you mean .*Hopper-v5"),
        ("Hopper", "an id ends in its version"),
        ("Qwertyuiop-v0", "unknown environment"),
        ("no_such_package:Thing-v0", "no_such_package"),
        ("gymnasium:Thing-v0", "cannot be made here"),
        ("Hopper-v2", "cannot be made here"),
        ("CartPole-v1", "Discrete"),
    ],
)
def test_unusable_ids_say_why(env_id, message):
    with pytest.raises(ConfigError, match=message):
        envs.make_env(EnvSpec(env_id))


def test_unknown_keyword_argument_is_named():
    with pytest.raises(ConfigError, match="wind"):
        envs.make_env(EnvSpec("Hopper-v5", {"wind": 3}))


@pytest.mark.parametrize(
    ("spaces", "message"),
    [
        ({"action_space": Box(-np.inf, np.inf, (2,))}, "unbounded"),
        ({"action_space": Box(-1, 1, (2, 2))}, "flat vector"),
        ({"action_space": Box(0, 5, (2,), np.int64)}, "continuous"),
        ({"observation_space": Dict({"x": Box(-1, 1, (2,))})}, "FlattenObservation"),
        ({"observation_space": Discrete(3)}, "flat vector"),
        ({"observation_space": Box(0, 1, (4, 4, 3))}, "flat vector"),
    ],
)
def test_unsupported_spaces_are_refused(spaces, message):
    with pytest.raises(ConfigError, match=message):
        envs.make_env(EnvSpec("EchoTest-v0", spaces))


def test_actions_are_scaled_and_clipped_before_the_reward():
    env = envs.make_env(EnvSpec("EchoTest-v0"))
    env.reset(seed=0)
    *_, info = env.step(np.float32([0.5, -1.0]))
    np.testing.assert_array_equal(info["native"], np.float32([1.5, 0.0]))
    _, inside, *_ = env.step(np.float32([1.0, 1.0]))
    _, outside, *_ = env.step(np.float32([7.0, 2.0]))
    assert inside == outside == 7.0
    assert env.action_space == Box(-1, 1, (2,), np.float32)


def test_an_action_of_the_wrong_length_is_not_broadcast():
    env = envs.make_env(EnvSpec("EchoTest-v0"))
    env.reset(seed=0)
    with pytest.raises(MismatchError, match=r"\(1,\)"):
        env.step(np.float32([0.5]))


def test_mujoco_charges_the_clipped_action():
    """Unwrapped, HalfCheetah's control cost grows with an action the motors never see."""
    rewards = []
    for action in (np.full(6, 1.0, np.float32), np.full(6, 3.0, np.float32)):
        env = envs.make_env(EnvSpec("HalfCheetah-v5"))
        env.reset(seed=1)
        rewards.append(env.step(action)[1])
    assert rewards[0] == rewards[1]


def test_unit_bounds_pass_unchanged():
    env = envs.make_env(EnvSpec("Hopper-v5"))
    action = np.float32([0.1, -0.7, 1 / 3])
    np.testing.assert_array_equal(env.action(action), action)


def test_old_versions_are_used_in_silence():
    """Warnings are errors here, so gymnasium's advice on v4 would fail this test."""
    env = envs.make_env(EnvSpec("HalfCheetah-v4"))
    assert env.unwrapped.spec.id == "HalfCheetah-v4"


def test_dims_and_limits():
    assert envs.env_dims(EnvSpec("Hopper-v5")) == (11, 3)
    assert envs.max_steps(EnvSpec("Hopper-v5")) == 1000
    assert envs.max_steps(EnvSpec("Hopper-v5", {"max_episode_steps": 7})) == 7
    assert envs.max_steps(EnvSpec("EchoTest-v0")) is None
    envs.check_dims(EnvSpec("Ant-v5"), 105, 8)
    with pytest.raises(MismatchError, match="105"):
        envs.check_dims(EnvSpec("Ant-v5"), 27, 8)


def test_sim_state_is_restored():
    env = envs.make_env(EnvSpec("Hopper-v5"))
    env.reset(seed=3)
    for _ in range(5):
        env.step(np.float32([0.3, -0.2, 0.9]))
    state = envs.sim_state(env)
    assert state.shape == (12,)
    assert state.dtype == np.float64
    seen = env.step(np.float32([-1, 1, 0]))
    env.reset(seed=9)
    envs.set_sim_state(env, state)
    again = env.step(np.float32([-1, 1, 0]))
    np.testing.assert_allclose(again[0], seen[0], atol=1e-9)
    assert again[1] == pytest.approx(seen[1], abs=1e-9)


def test_a_step_from_a_set_state_forgets_what_was_before():
    env = envs.make_env(EnvSpec("Hopper-v5"))
    env.reset(seed=3)
    state, seen = envs.sim_state(env), []
    for action in ([1, 1, 1], [-1, -1, 1]):
        for _ in range(6):
            env.step(np.float32(action))
        envs.set_sim_state(env, state)
        seen.append(env.step(np.float32([0.5, 0.1, -0.3]))[0])
    np.testing.assert_array_equal(*seen)


def test_environments_without_a_simulator_have_no_state():
    assert envs.sim_state(envs.make_env(EnvSpec("EchoTest-v0"))) is None


def test_versions():
    assert set(envs.current_versions()) == {"python", "torch", "numpy", "gymnasium", "mujoco", "mbrl"}


@pytest.mark.parametrize(
    ("recorded", "here", "message"),
    [
        ("3.4.0", "3.4.2", None),
        ("3.3.7", "3.4.0", "small differences"),
        ("3.4.0", "3.6.1", "contact margins"),
        ("4.0.0", "3.4.0", "contact margins"),
        (None, "3.4.0", None),
    ],
)
def test_version_warnings(monkeypatch, recorded, here, message):
    monkeypatch.setattr(envs, "current_versions", lambda: {"mujoco": here})
    found = envs.version_warnings(EnvSpec("Hopper-v5", {}, {"mujoco": recorded} if recorded else {}))
    assert (found == []) if message is None else (message in found[0] and recorded in found[0])
