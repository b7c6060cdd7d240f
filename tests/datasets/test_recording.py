"""Recordings: what they refuse, their episodes, joining."""

from dataclasses import replace

import numpy as np
import pytest

from mbrl.core.errors import DataError
from mbrl.core.types import EnvSpec
from mbrl.datasets.record import Record
from mbrl.datasets.recording import Recording, join

ENV = EnvSpec("Some-v0")


def recording(terminals, timeouts, dataset_id="a"):
    n = len(terminals)
    record = Record(
        observations=np.arange(2 * n, dtype=np.float32).reshape(n, 2),
        actions=np.zeros((n, 1), np.float32),
        rewards=np.arange(n, dtype=np.float32),
        terminals=np.array(terminals, bool),
        timeouts=np.array(timeouts, bool),
        next_observations=np.ones((n, 2), np.float32),
    )
    return Recording(record, None, None, ENV, f"behaviour {dataset_id}", 3, dataset_id)


def test_episodes_end_at_either_flag():
    r = recording([0, 1, 0, 0, 0], [0, 0, 0, 1, 1])
    assert r.episodes() == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert len(r) == 5


def test_summary_counts_returns():
    line = recording([0, 1, 0, 0, 0], [0, 0, 0, 1, 1]).summary()
    assert "5 transitions, 3 episodes, return min 1.0, mean 3.3, max 5.0" in line


def test_an_open_end_is_refused():
    with pytest.raises(DataError, match="last row"):
        recording([1, 0], [0, 0])


def test_missing_columns_and_rows_are_refused():
    good = recording([0, 1], [0, 0])
    for name in ("timeouts", "next_observations"):
        with pytest.raises(DataError, match="has timeouts and next_observations"):
            replace(good, record=replace(good.record, **{name: None}))
    empty = Record(**{k: v[:0] for k, v in good.record.present().items()})
    with pytest.raises(DataError, match="nothing was recorded"):
        replace(good, record=empty)


def test_join_keeps_rows_and_borders():
    one, two = recording([0, 0], [0, 1], "one"), recording([1, 0, 1], [0, 0, 0], "two")
    both = join([one, two], "both")
    assert both.dataset_id == "both"
    assert both.behaviour == "behaviour one; then behaviour two"
    assert both.episodes() == [slice(0, 2), slice(2, 3), slice(3, 5)]
    np.testing.assert_array_equal(both.record.rewards, [0, 1, 0, 1, 2])
    assert both.record.qpos is None


def test_join_refuses_different_environments():
    with pytest.raises(DataError, match="Other-v0"):
        join([recording([1], [0]), replace(recording([1], [0]), env=EnvSpec("Other-v0"))], "x")
