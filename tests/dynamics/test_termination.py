"""Termination rules against Gymnasium's own flag: at chosen states, along real steps, and at every threshold."""

import itertools
import warnings

import gymnasium as gym
import mujoco
import numpy as np
import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.core.types import EnvSpec
from mbrl.dynamics.termination import TERMINATIONS, Upright, never, termination_for

# Columns of the simulator state that a rule looks at, with values on both sides of every threshold.
EPS = 1e-5
THRESHOLDS = {
    "InvertedPendulum": {1: (-0.2, 0.2)},
    "InvertedDoublePendulum": {1: (0.0, 1.0), 2: (0.5857, -0.5857)},
    "HalfCheetah": {1: (-1.0, 1.0)},
    "Hopper": {1: (0.7, 1.25), 2: (-0.2, 0.2, 0.0), 3: (-100.0, 100.0), 5: (0.0, 150.0)},
    "Walker2d": {1: (0.8, 2.0), 2: (-1.0, 1.0, 0.0)},
    "Ant": {2: (0.2, 1.0)},
}


def make(env_id, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # v4 is deprecated in favour of v5
        return gym.make(env_id, **kwargs).unwrapped


def freeze(env):
    """Let step() read the state as it is set, without simulating: any state can be asked about, NaN included."""
    env.do_simulation = lambda ctrl, n: mujoco.mj_kinematics(env.model, env.data)


def own_flag(env, qpos, qvel):
    env.data.qpos[:], env.data.qvel[:] = qpos, qvel
    with np.errstate(all="ignore"):
        obs, _, terminated, _, _ = env.step(np.zeros(env.action_space.shape))
    return obs, bool(terminated)


def ask(rule, rows, dtype=torch.float64):
    next_obs = torch.as_tensor(np.array(rows), dtype=dtype)
    action = torch.zeros(len(next_obs), 1)
    terminal = rule(torch.zeros_like(next_obs), action, next_obs)
    assert terminal.dtype == torch.bool
    assert terminal.shape == next_obs.shape[:-1]
    return terminal.tolist()


def wide_states(env, rng, n):
    """States around the initial one, from slightly to absurdly far, with NaN, inf and |x| > 100 among them."""
    for i in range(n):
        scale = rng.choice([0.05, 0.3, 2.0, 60.0])
        qpos = env.init_qpos + scale * rng.normal(size=env.model.nq)
        qvel = np.clip(scale * rng.normal(size=env.model.nv), -99, 99)
        if i % 4 == 0:
            # Not x or y, which the observation omits, and not a Hopper velocity, which it clips.
            qpos[rng.integers(2, env.model.nq) if env.model.nq > 3 else 1] = rng.choice(
                [np.nan, np.inf, -np.inf, 150.0, -150.0, 100.0, -100.0]
            )
        if i % 7 == 0:
            qvel[rng.integers(env.model.nv)] = np.nan
        yield qpos, qvel


@pytest.mark.parametrize("env_id", TERMINATIONS)
def test_rule_equals_the_environments_flag_at_any_state(env_id):
    env, rng = make(env_id), np.random.default_rng(0)
    freeze(env)
    obs, own = zip(*(own_flag(env, *state) for state in wide_states(env, rng, 1500)), strict=True)
    assert ask(TERMINATIONS[env_id], obs) == list(own)
    if "HalfCheetah" not in env_id:
        assert 0.05 < np.mean(own) < 0.98


@pytest.mark.parametrize("env_id", TERMINATIONS)
def test_rule_equals_the_environments_flag_on_both_sides_of_every_threshold(env_id):
    env = make(env_id)
    freeze(env)
    columns = THRESHOLDS[env_id.split("-")[0]]
    choices = [[v + d for v in values for d in (-EPS, 0.0, EPS)] for values in columns.values()]
    obs, own = [], []
    for values in itertools.product(*choices):
        qpos = env.init_qpos.copy()
        qpos[list(columns)] = values
        row, flag = own_flag(env, qpos, np.zeros(env.model.nv))
        obs.append(row)
        own.append(flag)
    rule = TERMINATIONS[env_id]
    assert ask(rule, obs) == own
    if "HalfCheetah" not in env_id:
        assert {True, False} == set(own)
    # float32 rounds the thresholds themselves; a step of EPS away from them it must agree as well.
    clear = [
        all(min(abs(v - t) for t in ts) > EPS / 2 for v, ts in zip(vs, columns.values(), strict=True))
        for vs in itertools.product(*choices)
    ]
    got = ask(rule, obs, torch.float32)
    assert [g for g, c in zip(got, clear, strict=True) if c] == [
        o for o, c in zip(own, clear, strict=True) if c
    ]


def controller(env_id, obs, rng, wild):
    """A stabilising feedback for the pendulums, weak noise for the walkers; or a random policy."""
    low, high = -1.0, 1.0
    if wild:
        return rng.uniform(low, high, 8)
    if env_id.startswith("InvertedPendulum"):
        return np.full(8, np.clip(3 * obs[1] + 0.6 * obs[3] + 0.2 * obs[0] + 0.3 * obs[2], low, high))
    return 0.1 * rng.normal(size=8)


@pytest.mark.parametrize("wild", [False, True], ids=["controlled", "random"])
@pytest.mark.parametrize("env_id", TERMINATIONS)
def test_rule_equals_the_environments_flag_along_episodes(env_id, wild):
    env, rng = make(env_id), np.random.default_rng(1)
    obs, _ = env.reset(seed=0)
    rows, own = [], []
    for _ in range(400):
        obs, _, terminated, _, _ = env.step(controller(env_id, obs, rng, wild)[: env.action_space.shape[0]])
        rows.append(obs)
        own.append(bool(terminated))
        if terminated:
            obs, _ = env.reset()
    # InvertedDoublePendulum's tip height lags the state: leave out rows within a millimetre of its threshold.
    if env_id.startswith("InvertedDouble"):
        height = [0.6 * (o[3] + o[3] * o[4] - o[1] * o[2]) for o in rows]
        rows = [o for o, h in zip(rows, height, strict=True) if abs(h - 1) > 1e-3]
        own = [o for o, h in zip(own, height, strict=True) if abs(h - 1) > 1e-3]
    assert ask(TERMINATIONS[env_id], rows, torch.float32) == own
    if wild and "Cheetah" not in env_id:
        assert any(own)


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [
        ("Hopper-v5", {"healthy_z_range": (1.0, 1.3), "healthy_angle_range": [-0.05, 0.1]}),
        ("Hopper-v4", {"healthy_state_range": (-0.5, 0.5)}),
        ("Hopper-v5", {"exclude_current_positions_from_observation": False}),
        ("Hopper-v5", {"terminate_when_unhealthy": False}),
        ("Walker2d-v5", {"healthy_z_range": [1.1, 1.4], "xml_file": "walker2d.xml"}),
        ("Walker2d-v4", {"exclude_current_positions_from_observation": False}),
        ("Ant-v5", {"include_cfrc_ext_in_observation": False, "healthy_z_range": (0.5, 0.8)}),
        ("Ant-v4", {"use_contact_forces": True}),
        ("Ant-v5", {"exclude_current_positions_from_observation": False, "ctrl_cost_weight": 0.1}),
        ("Ant-v4", {"terminate_when_unhealthy": False}),
        ("HalfCheetah-v5", {"exclude_current_positions_from_observation": False}),
        ("InvertedDoublePendulum-v5", {"healthy_reward": 1.0}),
    ],
    ids=str,
)
def test_constructor_arguments_are_honoured(env_id, kwargs):
    env, rng = make(env_id, **kwargs), np.random.default_rng(2)
    freeze(env)
    obs, own = zip(*(own_flag(env, *state) for state in wide_states(env, rng, 400)), strict=True)
    assert ask(termination_for(EnvSpec(env_id, kwargs)), obs) == list(own)


def test_hopper_bounds_every_entry_and_not_only_from_above():
    rule, obs = TERMINATIONS["Hopper-v4"], torch.zeros(3, 11)
    obs[:, 0] = 1.2
    obs[1, 7], obs[2, 7] = -150.0, 150.0
    assert ask(rule, obs.numpy()) == [False, True, True]


def test_what_the_observation_cannot_show_is_as_documented():
    env = make("Hopper-v5")
    freeze(env)
    obs, terminated = own_flag(env, env.init_qpos, np.full(env.model.nv, 150.0))
    assert terminated
    assert ask(TERMINATIONS["Hopper-v5"], [obs]) == [False]  # the velocities were clipped to 10


@pytest.mark.parametrize("lead", [(), (4,), (2, 4)])
@pytest.mark.parametrize("rule", [never, *TERMINATIONS.values()], ids=["never", *TERMINATIONS])
def test_leading_axes_are_kept(rule, lead):
    x = torch.zeros(*lead, 30)
    assert rule(x, x[..., :1], x).shape == lead


def test_unknown_environment_names_near_matches_and_the_ways_out():
    with pytest.raises(
        ConfigError, match=r"did you mean.*Hopper-v[45].*your own function.*'learned' or 'none'"
    ):
        termination_for(EnvSpec("Hoper-v5"))


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [("Hopper-v5", {"healthy_zrange": (0, 1)}), ("HalfCheetah-v4", {"terminate_when_unhealthy": False})],
)
def test_an_argument_of_unknown_effect_is_refused(env_id, kwargs):
    with pytest.raises(ConfigError, match=next(iter(kwargs))):
        termination_for(EnvSpec(env_id, kwargs))


@pytest.mark.parametrize("env_id", ["Ant-v5", "InvertedDoublePendulum-v5"])
def test_another_body_is_refused_where_it_matters(env_id):
    with pytest.raises(ConfigError, match=r"mine\.xml"):
        termination_for(EnvSpec(env_id, {"xml_file": "mine.xml"}))


def test_rules_compare_by_value():
    assert termination_for(EnvSpec("Walker2d-v4")) == Upright((0.8, 2.0), (-1.0, 1.0))
