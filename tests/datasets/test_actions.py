import numpy as np
import pytest

from mbrl.core.errors import DataError
from mbrl.datasets.actions import to_native_scale, to_unit_scale


def test_bounds_map_to_one_scale_by_hand():
    actions = np.array([[-0.4, 0.0], [0.4, 3.0], [0.0, 1.5]], dtype=np.float32)
    got = to_unit_scale(actions, (np.array([-0.4, 0.0]), np.array([0.4, 3.0])), "x")
    np.testing.assert_allclose(got, [[-1, -1], [1, 1], [0, 0]], atol=1e-6)
    assert got.dtype == np.float32
    np.testing.assert_allclose(
        to_unit_scale(actions[:, :1], (-2.0, 2.0), "x"), [[-0.2], [0.2], [0.0]], atol=1e-7
    )


def test_unit_bounds_change_nothing():
    actions = np.float32([[0.1, -0.7]])
    assert (to_unit_scale(actions, (-1.0, 1.0), "x") == actions).all()
    assert (to_unit_scale(actions, None, "x") == actions).all()


def test_rounding_beyond_a_bound_is_clipped_and_more_is_refused():
    assert to_unit_scale(np.float32([[1 + 1e-6]]), None, "x").item() == 1.0
    with pytest.raises(DataError, match=r"row 1, column 0 is 1\.001"):
        to_unit_scale(np.float32([[0.0], [1.001]]), None, "x")
    assert to_unit_scale(np.float32([[0.0], [7.0]]), None, "x", clip=True).tolist() == [[0.0], [1.0]]


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((1.0, -1.0), "low < high"),
        ((-np.inf, np.inf), "finite"),
        ((np.zeros(3), np.ones(3)), "arrays of length 1"),
    ],
)
def test_impossible_bounds_are_refused(bounds, message):
    with pytest.raises(DataError, match=message):
        to_unit_scale(np.float32([[0.0]]), bounds, "x")


def test_native_scale_is_the_inverse_and_clips():
    low, high = np.float32([-0.4, 0.0]), np.float32([0.4, 3.0])
    unit = np.float32([[-1, -1], [1, 1], [0, 0], [0.5, -0.5]])
    native = to_native_scale(unit, low, high)
    np.testing.assert_allclose(native, [[-0.4, 0.0], [0.4, 3.0], [0.0, 1.5], [0.2, 0.75]], atol=1e-7)
    np.testing.assert_allclose(to_unit_scale(native, (low, high), "x"), unit, atol=1e-6)
    assert (to_native_scale(np.float32([[5, -5]]), low, high) == np.float32([[0.4, 0.0]])).all()
    same = np.float32([[1 / 3, -0.7]])
    assert (to_native_scale(same, -np.ones(2, np.float32), np.ones(2, np.float32)) == same).all()
