"""OMIGA's HDF5 files: rows, ends, lineage, and what is no such file."""

import h5py
import numpy as np
import pytest

from mbrl.core.errors import DataError, MismatchError
from mbrl.core.joint import Layout
from mbrl.core.types import EnvSpec
from mbrl.datasets import load


def columns():
    """Episodes of 3, 2 and 4 rows, so of 2, 1 and 3 transitions, of 2 agents."""
    rng = np.random.default_rng(0)
    done = np.zeros((9, 1))
    done[[2, 4, 8]] = 1
    return {
        "o": rng.normal(size=(9, 2, 3)),
        "s": rng.normal(size=(9, 2, 5)),
        "a": rng.uniform(-1, 1, (9, 2, 2)),
        "r": np.arange(9.0)[:, None],
        "d": done,
    }


@pytest.fixture
def write(tmp_path):
    def write(**changed):
        path = tmp_path / "Hopper-v2-3x1-expert.hdf5"
        with h5py.File(path, "w") as file:
            for key, value in (columns() | changed).items():
                if value is not None:
                    file[key] = value
        return f"omiga/{path}"

    return write


def test_rows_and_ends(write):
    data = load(write(), verbose=False, limit=3)
    given, rows = columns(), data.transitions
    assert data.id == "omiga/multiagent_mujoco/Hopper-v2-3x1-expert"
    assert data.layout == Layout((3, 3), (2, 2))
    assert rows.reward.tolist() == [0, 1, 3, 5, 6, 7]
    np.testing.assert_array_equal(rows.obs, given["o"][[0, 1, 3, 5, 6, 7]].astype(np.float32))
    np.testing.assert_array_equal(rows.next_obs, given["o"][[1, 2, 4, 6, 7, 8]].astype(np.float32))
    np.testing.assert_array_equal(rows.action, given["a"][[0, 1, 3, 5, 6, 7]].astype(np.float32))
    assert rows.terminal.tolist() == [False, True, True, False, False, False]
    assert rows.timeout.tolist() == [False] * 5 + [True]
    assert data.successor_known.all()
    assert data.env is None
    assert "3 rows held an episode's last observation alone" in data.summary()


def test_an_unfinished_end_is_a_timeout(write):
    done = columns()["d"]
    done[8] = 0
    rows = load(write(d=done), verbose=False).transitions
    assert rows.reward.tolist() == [0, 1, 3, 5, 6, 7]
    assert rows.terminal.tolist() == [False, True, True, False, False, False]
    assert rows.timeout.tolist() == [False] * 5 + [True]


def test_padding_is_found_or_given(write):
    obs = columns()["o"]
    obs[:, 0, 2] = 0
    assert load(write(o=obs), verbose=False).layout == Layout((2, 3), (2, 2))
    given = load(write(o=obs), verbose=False, layout=Layout((3, 3), (2, 2), ("a", "b")))
    assert given.layout.names == ("a", "b")
    assert given.layout.obs_dims == (3, 3)


def test_no_environment_here_is_its_own(write):
    with pytest.raises(
        MismatchError, match=r"multiagent_mujoco.*mujoco 2.x.*mamujoco/Hopper-3x1-v1.*leave env out"
    ):
        load(write(), verbose=False, env=EnvSpec("mamujoco/Hopper-3x1-v1"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"d": None, "r": None}, "no key r, d; OMIGA's files have o, a, r, d, this one has a, o, s"),
        ({"a": np.zeros((9, 4))}, r"a has shape \(9, 4\); \[B, N, size\] is needed"),
        ({"a": np.zeros((9, 3, 2))}, r"a has shape \(9, 3, 2\)"),
        ({"r": np.arange(18.0).reshape(9, 2)}, "agents with r of their own"),
        ({"o": np.full((9, 2, 3), np.nan)}, "observations of agent 0, row 0, entry 0 is nan"),
        ({"r": np.full(9, np.inf)}, "rewards row 0 is inf"),
        ({"a": np.full((9, 2, 2), 1.5)}, "outside"),
        ({"d": np.ones(9)}, "all of its 9 rows are marked done"),
    ],
)
def test_files_that_are_no_such_files(write, changed, message):
    with pytest.raises(DataError, match=message):
        load(write(**changed), verbose=False)


def test_no_such_path(tmp_path):
    with pytest.raises(DataError, match="no file"):
        load(f"omiga/{tmp_path}/nowhere/x.hdf5", verbose=False)
    (tmp_path / "x.hdf5").write_text("no")
    with pytest.raises(DataError, match="not an HDF5 file"):
        load(f"omiga/{tmp_path}/x.hdf5", verbose=False)
