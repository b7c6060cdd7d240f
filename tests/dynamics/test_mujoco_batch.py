"""Rows that MuJoCo gives up on, and what it must not leave behind."""

import mujoco
import numpy as np
import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.core.types import EnvSpec
from mbrl.dynamics.mujoco_batch import Rollouts, Substeps, check_state_is_complete, cores, quiet
from mbrl.dynamics.true_dynamics import TrueDynamics

HOPPER = np.array([0, 1.25, *[0.0] * 10])
ANT = np.array([0, 0, 0.75, 1, 0, 0, 0, 0, 1, 0, -1, 0, -1, 0, 1, *[0.0] * 14])
WAYS = [("Hopper-v4", HOPPER), ("Ant-v4", ANT)]


def broken(sound):
    """Ten states; 1, 3, 5 and 7 are beyond MuJoCo: not finite, far too large, or flying apart on the way."""
    states = np.stack([sound] * 10)
    states[1, 0], states[3, -1], states[5, 2], states[7, -1] = np.nan, np.inf, 1e11, 1e9
    return states


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("env", "sound"), WAYS, ids=["in C++", "row by row"])
def test_a_row_whose_physics_break_down_is_lost_without_a_trace(
    env, sound, threads, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    truth = TrueDynamics(EnvSpec(env), threads=threads)
    action = np.zeros((10, truth.action_dim), dtype=np.float32)
    action[8, 0] = np.nan
    state, obs, reward, terminal = truth.simulate(broken(sound), action)
    bad = [1, 3, 5, 7, 8]
    assert np.flatnonzero(terminal).tolist() == bad
    assert np.isnan(state[bad]).all()
    assert not reward[bad].any()
    good = [0, 2, 4, 6, 9]
    assert np.isfinite(obs[good]).all()
    np.testing.assert_array_equal(state[good], np.stack([state[0]] * 5))
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_lost_row_stays_lost_and_says_so():
    truth = TrueDynamics(EnvSpec("HalfCheetah-v5"), threads=1)  # which knows no terminal states of its own
    action = torch.zeros(1, 2, 6)
    action[0, 1] = torch.nan
    first = truth.step(truth.at(np.zeros((1, 2, 18))), None, action, None)
    second = truth.step(first.carry, None, torch.zeros(1, 2, 6), None)
    for step in (first, second):
        assert step.terminal.tolist() == [[False, True]]
        assert step.next_obs[0, 1].isnan().all()
        assert step.reward[0, 1] == 0
        assert truth.terminal(step.carry).tolist() == [[False, True]]


def test_warnings_are_heard_again_afterwards():
    heard = []
    handler = heard.append
    mujoco.set_mju_user_warning(handler)
    try:
        TrueDynamics(EnvSpec("Hopper-v4"), threads=1).simulate(broken(HOPPER), np.zeros((10, 3)))
        assert heard == []
        assert mujoco.get_mju_user_warning() is handler
        with pytest.raises(ZeroDivisionError), quiet():
            raise ZeroDivisionError
        assert mujoco.get_mju_user_warning() is handler
    finally:
        mujoco.set_mju_user_warning(None)


def model(actuator):
    joint = '<joint name="j" type="slide"/><geom size="1"/>'
    body = f"<worldbody><body>{joint}</body></worldbody><actuator>{actuator}</actuator>"
    return mujoco.MjModel.from_xml_string(f"<mujoco>{body}</mujoco>")


def test_a_force_on_a_mass_by_hand():
    """Semi-implicit Euler on a free mass m: v += h f / m, then x += h v; both ways of stepping, several steps."""
    simple = model('<motor joint="j"/>')
    mass, h, force = simple.body_mass[1], simple.opt.timestep, np.array([[2.0], [-1.0]])
    gravity = simple.opt.gravity[2]
    x, v = np.array([[1.0], [0.0]]), np.array([[0.0], [3.0]])
    state = np.concatenate([x, v], axis=1)
    for _ in range(3):
        v = v + h * (force / mass + gravity)
        x = x + h * v
    a, nothing = Rollouts(simple, 3, 1)(state, force)
    b, inside = Substeps(simple, 3, lambda data: [data.qfrc_actuator, data.xpos[1]], 2)(state, force)
    np.testing.assert_allclose(a, np.concatenate([x, v], axis=1), atol=1e-12)
    np.testing.assert_array_equal(a, b)
    assert nothing.shape == (2, 0)
    np.testing.assert_allclose(inside[:, 0], force[:, 0])
    np.testing.assert_allclose(inside[:, 3:], x - h * v, atol=1e-12)  # where the last step began


def test_batches_of_any_size_one_after_the_other():
    simple = model('<motor joint="j"/>')
    states, force = np.random.default_rng(0).normal(size=(7, 2)), np.ones((7, 1))
    for way in (Rollouts(simple, 2, 2), Substeps(simple, 2, lambda data: [data.qpos], 2)):
        whole, _ = way(states, force)
        for rows in (7, 3, 0, 1, 5):
            np.testing.assert_array_equal(way(states[:rows], force[:rows])[0], whole[:rows])


def test_a_model_with_more_state_than_positions_and_velocities():
    with pytest.raises(ConfigError, match="3 physics states, more than its 1 positions and 1 velocities"):
        check_state_is_complete(model('<general joint="j" dyntype="integrator"/>'))


def test_cores():
    assert cores() >= 1
