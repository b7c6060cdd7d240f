"""Observations and states, there and back."""

import numpy as np
import pytest

from mbrl.dynamics.state_layout import Layout

PLAIN = Layout(nq=3, nv=2, skipped=1)
CLIPPED = Layout(nq=3, nv=2, skipped=1, clip=10.0)
TURNING = Layout(nq=3, nv=3, clip=10.0, angles=2)


def test_plain_positions_and_velocities():
    state = np.array([[7.0, 1.0, 2.0, 30.0, -40.0]])
    obs = np.array([[1.0, 2.0, 30.0, -40.0]])
    np.testing.assert_array_equal(PLAIN.observe(state), obs)
    np.testing.assert_array_equal(PLAIN.restore(obs), [[0.0, 1.0, 2.0, 30.0, -40.0]])
    assert PLAIN.complete(obs).tolist() == [True]
    assert PLAIN.size == 4


def test_velocities_out_of_bounds_hide_their_state():
    state = np.array([[7.0, 1.0, 2.0, 30.0, -9.0]])
    obs = CLIPPED.observe(state)
    np.testing.assert_array_equal(obs, [[1.0, 2.0, 10.0, -9.0]])
    shown = np.array([[99.0, -99.0, 9.99, -9.99], [0, 0, 10.0, 0], [0, 0, 0, -10.0], [np.nan, 0, 0, 0]])
    assert CLIPPED.complete(shown).tolist() == [True, False, False, False]


@pytest.mark.parametrize("angles", [(0.3, -2.0), (3.1, -3.1), (-0.5, 1.6)])
def test_angles_are_shown_as_sines_and_cosines(angles):
    a, b = angles
    state = np.array([[0.5, a, b, 1.0, -20.0, 3.0]])
    obs = TURNING.observe(state)
    want = [[0.5, np.sin(a), np.sin(b), np.cos(a), np.cos(b), 1.0, -10.0, 3.0]]
    np.testing.assert_allclose(obs, want, rtol=0, atol=1e-15)
    longer = np.concatenate([obs, [[123.0]]], axis=1)  # an observation may go on
    np.testing.assert_allclose(TURNING.restore(longer), [[0.5, a, b, 1.0, -10.0, 3.0]], atol=1e-15)
    assert TURNING.complete(longer).tolist() == [False]


def test_a_state_moves_by_what_its_observation_does():
    state = np.array([[7.0, 1.0, 2.0, 3.0, -4.0]])
    moved = PLAIN.shift(state, PLAIN.observe(state), np.array([[1.5, 2.0, 3.0, -5.0]]))
    np.testing.assert_allclose(moved, [[7.0, 1.5, 2.0, 3.0, -5.0]])
    np.testing.assert_array_equal(state, [[7.0, 1.0, 2.0, 3.0, -4.0]])


@pytest.mark.parametrize(
    ("truth", "wanted", "after"),
    [
        (14.0, 10.0, 14.0),  # nothing new is shown
        (14.0, 10.4, 14.0),  # a learned model oversteps; still only "10 or more"
        (14.0, 9.5, 9.5),  # now it is shown
        (14.0, -10.0, -10.0),
        (-14.0, -10.0, -14.0),
        (9.0, 9.25, 9.25),
        (9.0, 10.5, 10.5),
        (10.0, 10.0, 10.0),
    ],
)
def test_a_hidden_velocity_is_kept_until_it_is_shown(truth, wanted, after):
    state = np.array([[7.0, 1.0, 2.0, truth, 0.5]])
    moved = CLIPPED.shift(state, CLIPPED.observe(state), np.array([[1.0, 2.0, wanted, 0.5]]))
    np.testing.assert_array_equal(moved, [[7.0, 1.0, 2.0, after, 0.5]])


def test_angles_turn_the_short_way():
    state = np.array([[0.0, np.pi - 0.1, 9.0, 0.0, 0.0, 0.0]])  # the second has turned more than once
    shown = TURNING.observe(state)
    wanted = TURNING.observe(np.array([[0.0, -np.pi + 0.1, 9.2, 0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(TURNING.shift(state, shown, wanted)[0, 1:3], [np.pi + 0.1, 9.2], atol=1e-12)


@pytest.mark.parametrize("layout", [PLAIN, CLIPPED, TURNING], ids=["plain", "clipped", "turning"])
def test_nothing_moves_for_the_same_observation(layout):
    state = 20 * np.random.default_rng(0).normal(size=(200, layout.nq + layout.nv))
    shown = layout.observe(state).astype(np.float32).astype(np.float64)
    np.testing.assert_array_equal(layout.shift(state, shown, shown), state)
