"""`done` of other projects, by hand."""

import numpy as np
import pytest

from mbrl.core.errors import DataError
from mbrl.datasets.ends import shared, split_done, without_last_observations

DONE = np.array([0, 0, 1, 0, 1, 0, 0, 1], dtype=bool)  # episodes of 3, 2 and 3 rows


def rows(flags):
    return np.flatnonzero(flags).tolist()


def test_the_clock_ends_episodes_of_exactly_its_length():
    terminals, timeouts = split_done(DONE, 3)
    assert (rows(terminals), rows(timeouts)) == ([4], [2, 7])
    terminals, timeouts = split_done(DONE, None)
    assert (rows(terminals), rows(timeouts)) == ([2, 4, 7], [])
    assert not np.any(split_done(np.zeros(4, bool), 4))


def test_rows_of_last_observations():
    kept, successors, ends = without_last_observations(np.arange(8), DONE, "x")
    assert kept.tolist() == [0, 1, 3, 5, 6]
    assert successors.tolist() == [1, 2, 4, 6, 7]
    assert ends.tolist() == [False, True, True, False, True]
    # The last row goes on, somewhere else: it has no successor.
    kept, _, ends = without_last_observations(np.arange(7), DONE[:7], "x")
    assert kept.tolist() == [0, 1, 3, 5]
    assert ends.tolist() == [False, True, True, False]
    with pytest.raises(DataError, match="all of its 3 rows are marked done"):
        without_last_observations(np.arange(3), np.ones(3, bool), "x")


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 3), (4, 3, 1)])
def test_one_number_for_the_team(shape):
    values = np.broadcast_to(np.arange(4.0).reshape(4, *[1] * (len(shape) - 1)), shape)
    assert shared(values, "r", 4, "x").tolist() == [0, 1, 2, 3]


def test_agents_of_their_own_minds():
    values = np.zeros((4, 2))
    values[2] = 1, 2
    with pytest.raises(DataError, match=r"x: r row 2 is \[1.0, 2.0\]: agents with r of their own"):
        shared(values, "r", 4, "x")
    with pytest.raises(DataError, match=r"r has shape \(5, 2\)"):
        shared(np.zeros((5, 2)), "r", 4, "x")
