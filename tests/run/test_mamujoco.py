"""The team environment against the library's own, and against the single-agent robot below it."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch

from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.joint import Layout
from mbrl.core.types import EnvSpec
from mbrl.run import envs, joint_envs
from mbrl.run.evaluate import Evaluator, evaluate
from mbrl.run.mamujoco import EXACT

IDS = [
    "HalfCheetah-2x3",
    "HalfCheetah-6x1",
    "Hopper-3x1",
    "Walker2d-2x3",
    "Ant-2x4",
    "Ant-4x2",
    "Humanoid-9_8",
]
SIZES = {
    "HalfCheetah-2x3": ((12, 12), (3, 3)),
    "HalfCheetah-6x1": ((9, 9, 8, 9, 9, 8), (1,) * 6),
    "Hopper-3x1": ((8, 9, 8), (1, 1, 1)),
    "Walker2d-2x3": ((12, 12), (3, 3)),
    "Ant-2x4": ((63, 63), (4, 4)),
    "Ant-4x2": ((42,) * 4, (2,) * 4),
    "Humanoid-9_8": ((242, 170), (9, 8)),
}


def spec(name, **kwargs):
    return EnvSpec(f"mamujoco/{name}-v1", kwargs)


def library(name):
    from gymnasium_robotics import mamujoco_v1

    scenario, _, conf = name.partition("-")
    return mamujoco_v1.parallel_env(scenario, conf.replace("_", "|"), 1)


def actions(env, steps, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (steps, *env.action_space.shape)).astype(np.float32)


@pytest.mark.parametrize("name", IDS)
def test_a_team_moves_as_the_librarys_own(name):
    env, own = envs.make_env(spec(name)), library(name)
    layout = env.unwrapped.layout
    assert (layout.obs_dims, layout.action_dims) == SIZES[name]
    shown, _ = env.reset(seed=3)
    expected, _ = own.reset(seed=3)
    for action in actions(env, 20):
        for i, agent in enumerate(layout.names):
            size = layout.obs_dims[i]
            np.testing.assert_array_equal(shown[i, :size], expected[agent])
            assert not shown[i, size:].any()
        scale = own.action_space("agent_0").high[0]
        parts = {a: scale * action[i, : layout.action_dims[i]] for i, a in enumerate(layout.names)}
        expected, reward, end, _, _ = own.step(parts)
        shown, paid, terminal, truncated, _ = env.step(action)
        # Once for the team, where a sum over agents would be N times as much.
        assert (paid, terminal, truncated) == (reward["agent_0"], end["agent_0"], False)
        if terminal:
            break
    own.close()
    env.close()


def test_the_robot_below_is_the_single_agents():
    """The same start and, in the order of its joints, the same actions, observations and rewards."""
    team, alone = envs.make_env(spec("HalfCheetah-2x3")), envs.make_env(EnvSpec("HalfCheetah-v5"))
    team.reset(seed=5)
    obs, _ = alone.reset(seed=5)
    for action in np.random.default_rng(1).uniform(-1, 1, (30, 6)).astype(np.float32):
        np.testing.assert_array_equal(team.unwrapped.global_obs(), obs)
        np.testing.assert_array_equal(envs.sim_state(team), envs.sim_state(alone))
        _, paid, *_ = team.step(team.unwrapped.split_action(action))
        obs, reward, *_ = alone.step(action)
        assert paid == pytest.approx(reward, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", [n for n in joint_envs.MAMUJOCO if n.split("-")[0] in EXACT])
def test_what_an_agent_sees_and_moves(name):
    env = envs.make_env(spec(name))
    inner = env.unwrapped
    obs, _ = env.reset(seed=0)
    for action in actions(env, 40):
        whole = inner.global_obs()
        for i, entries in enumerate(inner.seen):
            np.testing.assert_array_equal(obs[i, : len(entries)], whole[entries])
        obs, *_ = env.step(action)
    numbered = np.arange(inner.robot.action_space.shape[0])
    assert sorted(np.concatenate(inner.moved)) == list(numbered)
    for row, own in zip(inner.split_action(numbered), inner.moved, strict=True):
        np.testing.assert_array_equal(row[: len(own)], own)


def test_agents_of_walker2d_see_what_the_single_agent_does_not():
    inner = envs.make_env(spec("Walker2d-2x3")).unwrapped
    inner.reset(seed=0)
    inner.set_state(inner.data.qpos, np.full(9, 20.0))
    assert inner.seen is None
    assert inner.global_obs().max() == 10.0
    assert inner._observations(inner.team._get_obs()).max() == 20.0


def test_what_is_in_the_padding_of_an_action_changes_nothing():
    first, second = (envs.make_env(spec("Humanoid-9_8")) for _ in range(2))
    first.reset(seed=0), second.reset(seed=0)
    action = actions(first, 1)[0]
    other = action.copy()
    other[1, 8] = 0.5
    native = first.action(other)
    assert native[1, 8] == 0.0
    assert native[0, 8] == pytest.approx(0.4 * action[0, 8])
    np.testing.assert_array_equal(first.step(action)[0], second.step(other)[0])


def test_state_can_be_put_back():
    env = envs.make_env(spec("Hopper-3x1"))
    env.reset(seed=0)
    state, action = envs.sim_state(env), actions(env, 1)[0]
    envs.set_sim_state(env, state)
    first = env.step(action)[:2]
    envs.set_sim_state(env, state)
    again = env.step(action)[:2]
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]


def test_an_agents_view_is_an_argument():
    assert envs.env_dims(spec("HalfCheetah-6x1")) == (9, 1)
    assert envs.env_dims(spec("HalfCheetah-6x1", agent_obsk=0)) == (7, 1)
    assert envs.max_steps(spec("Reacher-2x1")) == 50


def test_sizes_are_checked():
    hopper = Layout((8, 9, 8), (1, 1, 1))
    envs.check_dims(spec("Hopper-3x1"), 9, 1, hopper)
    assert envs.env_layout(spec("Hopper-3x1")).names == ("agent_0", "agent_1", "agent_2")
    assert envs.env_layout(EnvSpec("Hopper-v5")) is None
    with pytest.raises(
        MismatchError, match=r"3 agents \(obs \(7, 7, 7\).*has 3 agents .*\(8, 9, 8\).*agent_obsk"
    ):
        envs.check_dims(spec("Hopper-3x1", agent_obsk=0), 9, 1, hopper)
    with pytest.raises(MismatchError, match="has one agent, but the data or model has 3 agents"):
        envs.check_dims(EnvSpec("Hopper-v5"), 11, 3, hopper)
    with pytest.raises(MismatchError, match="3 agents .* data or model has one agent"):
        envs.check_dims(spec("Hopper-3x1"), 11, 3)


def test_bad_arguments_say_what_would_be_right(monkeypatch):
    with pytest.raises(ConfigError, match="did you mean mamujoco/Hopper-3x1-v1"):
        envs.make_env(spec("Hopper-3x2"))
    with pytest.raises(ConfigError, match="wind"):
        envs.make_env(spec("Hopper-3x1", wind=3))
    env = envs.make_env(spec("Hopper-3x1"))
    env.reset(seed=0)
    with pytest.raises(MismatchError, match=r"\(3,\) for an environment of \(3, 1\)"):
        env.step(np.zeros(3))
    with pytest.raises(MismatchError, match=r"\(2,\); the robot takes \(3,\)"):
        env.unwrapped.split_action(np.zeros(2))
    monkeypatch.setitem(sys.modules, "gymnasium_robotics", None)
    with pytest.raises(ConfigError, match="pip install 'gymnasium-robotics"):
        envs.make_env(spec("Hopper-3x1"))


def test_making_one_is_quiet():
    """The library prints a notice about other environments when it is first imported."""
    code = (
        "from mbrl.core.types import EnvSpec; from mbrl.run.envs import make_env; "
        "make_env(EnvSpec('mamujoco/Hopper-3x1-v1'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


class Team(gymnasium.Env):
    """Spaces that do not fit the layout."""

    layout = Layout((2, 3), (1, 1))
    observation_space = gymnasium.spaces.Box(-1, 1, (2, 2))
    action_space = gymnasium.spaces.Box(-1, 1, (2, 1))


def test_spaces_must_fit_the_layout():
    gymnasium.register("TeamTest-v0", entry_point=Team)
    try:
        with pytest.raises(ConfigError, match=r"observations \(2, 2\).*its layout needs \(2, 3\)"):
            envs.make_env(EnvSpec("TeamTest-v0"))
    finally:
        del gymnasium.registry["TeamTest-v0"]


class Careless(gymnasium.Env):
    """Adds up all that it is given, the padding too."""

    layout = Layout((1, 1), (2, 1))
    observation_space = gymnasium.spaces.Box(-1, 1, (2, 1))
    action_space = gymnasium.spaces.Box(-3, 3, (2, 2))

    def reset(self, *, seed=None, options=None):
        return np.zeros((2, 1)), {}

    def step(self, action):
        return np.zeros((2, 1)), float(action.sum()), True, False, {}


def test_padding_of_an_action_does_not_reach_the_environment():
    gymnasium.register("CarelessTest-v0", entry_point=Careless)
    try:
        env = envs.make_env(EnvSpec("CarelessTest-v0"))
        env.reset()
        assert env.step(np.array([[0.5, -0.25], [1.0, 0.75]]))[1] == 3 * (0.5 - 0.25 + 1.0)
    finally:
        del gymnasium.registry["CarelessTest-v0"]


class Constant:
    """Each agent moves by its share of one number a member."""

    def act(self, obs, streams=None):
        assert obs.dtype == torch.float32
        force = torch.linspace(-0.5, 0.5, obs.shape[0]).view(-1, 1, 1, 1)
        return (force * obs[..., :3].abs().clamp(max=1)).expand(*obs.shape[:-1], 3)


def test_evaluation_of_a_stack_is_each_members_own():
    cheetah = spec("HalfCheetah-2x3")
    found = evaluate(Constant(), cheetah, seeds=[3, 4], episodes=2, max_steps=15)
    assert found.returns.shape == (2, 2)
    assert (found.lengths == 15).all()
    evaluator = Evaluator(cheetah, seeds=[4], episodes=2, max_steps=15)

    class Second(Constant):
        def act(self, obs, streams=None):
            return super().act(torch.cat([obs, obs]))[1:]

    torch.testing.assert_close(evaluator(Second()).returns[0], found.returns[1], rtol=0, atol=0)


def test_evaluation_pays_the_team_once():
    env, found = (
        envs.make_env(spec("Hopper-3x1")),
        evaluate(Still(), spec("Hopper-3x1"), seeds=[0], episodes=1),
    )
    env.reset(seed=Evaluator(spec("Hopper-3x1"), seeds=[0], episodes=1)._reset_seeds(0)[0])
    total, ended = 0.0, False
    while not ended:
        _, reward, ended, *_ = env.step(np.zeros((3, 1), np.float32))
        total += reward
    assert found.returns.item() == pytest.approx(total)


class Still:
    def act(self, obs, streams=None):
        return torch.zeros(*obs.shape[:-1], 1)


def test_actions_that_are_not_finite_are_named():
    class Broken:
        def act(self, obs, streams=None):
            action = torch.zeros(*obs.shape[:-1], 1)
            action[1, 0, 2] = torch.nan
            return action

    from mbrl.core.errors import DivergenceError

    with pytest.raises(DivergenceError, match="seed 8") as error:
        evaluate(Broken(), spec("Hopper-3x1"), seeds=[7, 8], episodes=1)
    assert list(error.value.members) == [1]
