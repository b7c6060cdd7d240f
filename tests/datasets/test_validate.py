"""Each kind of unusable data is refused with its own words; what is merely of another type is taken."""

import numpy as np
import pytest
import torch

from mbrl.core.errors import DataError
from mbrl.datasets import from_arrays
from tests.datasets.layouts import FILES, Episode, columns

EPISODES = [Episode(3, "terminal"), Episode(2, "timeout")]


def changed(**changes):
    data = columns(EPISODES)
    for key, change in changes.items():
        data[key] = change(data[key])
    return data


def put(row, value):
    def change(x):
        x = x.astype(np.float64)
        x[row] = value
        return x

    return change


BAD = {
    "empty": (
        {k: lambda x: x[:0] for k in columns(EPISODES)},
        "empty dataset: observations has no rows",
    ),
    "rank": ({"observations": lambda x: x[:, 0]}, r"observations has shape \(5,\), expected \[N, O\]"),
    "scalar": ({"observations": lambda x: x[0, 0]}, r"observations has shape \(\), expected \[N, O\]"),
    "columns": ({"rewards": lambda x: np.stack([x, x], 1)}, r"rewards has shape \(5, 2\), expected \[N\]"),
    "length": ({"rewards": lambda x: x[:-1]}, "rewards has 4 rows, observations has 5"),
    "width": (
        {"next_observations": lambda x: x[:, :2]},
        r"next_observations has shape \(5, 2\), observations",
    ),
    "no action": ({"actions": lambda x: x[:, :0]}, r"actions has shape \(5, 0\): no columns"),
    "nan": ({"observations": put((3, 1), np.nan)}, "observations row 3, column 1 is nan, not finite"),
    "inf": ({"rewards": put(2, -np.inf)}, "rewards row 2 is -inf, not finite"),
    "overflow": ({"next_observations": put((1, 0), 1e300)}, "next_observations row 1, column 0 is 1e.300"),
    "nan action": ({"actions": put((4, 1), np.nan)}, "actions row 4, column 1 is nan"),
    "flag": ({"terminals": put(1, 0.5)}, "terminals row 1 is 0.5; flags are 0 or 1"),
    "nan flag": ({"timeouts": put(1, np.nan)}, "timeouts row 1 is nan; flags are 0 or 1"),
    "integer actions": ({"actions": lambda x: x.astype(np.int64)}, "discrete action space"),
    "action indices": ({"actions": lambda x: np.zeros(5, dtype=np.int64)}, "discrete action space"),
    "complex": ({"rewards": lambda x: x + 0j}, "rewards has type complex128; expected real numbers"),
    "bounds": (
        {"actions": put((2, 1), 1.5)},
        r"actions row 2, column 1 is 1.5, outside \[-1, 1\] .*1 such rows.*action_bounds=\(low, high\)",
    ),
}


@pytest.mark.parametrize("loader", FILES)
@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_refused_by_name(loader, name, tmp_path):
    changes, message = BAD[name]
    with pytest.raises(DataError, match=message):
        FILES[loader](changed(**changes), tmp_path)


@pytest.mark.parametrize("loader", FILES)
@pytest.mark.parametrize("key", ["observations", "actions", "rewards", "terminals"])
def test_a_missing_key_is_named_with_what_there_is(loader, key, tmp_path):
    data = columns(EPISODES) | {key: None} if loader == "arrays" else columns(EPISODES, without=(key,))
    with pytest.raises(DataError, match=f"no key '{key}'; it has .*timeouts.*Required are"):
        FILES[loader](data, tmp_path)


def test_done_is_not_taken_for_terminal(tmp_path):
    data = columns(EPISODES, without=("terminals",)) | {"dones": np.ones(5)}
    with pytest.raises(DataError, match="does not say whether the MDP or only the record ended"):
        FILES["npz"](data, tmp_path)


def test_trailing_axis_of_one_is_named():
    with pytest.raises(
        DataError, match=r"rewards has shape \(5, 1\), expected \[N\] \(drop the trailing axis"
    ):
        from_arrays(**changed(rewards=lambda x: x[:, None]))


def test_ragged_rows_are_not_an_array():
    with pytest.raises(DataError, match="observations is not an array"):
        from_arrays(**columns(EPISODES) | {"observations": [[1.0], [1.0, 2.0], [1.0], [1.0], [1.0]]})


def test_other_types_give_the_same_data():
    want = from_arrays(**columns(EPISODES))
    data = changed(
        observations=lambda x: x.astype(np.float16),
        actions=lambda x: torch.from_numpy(x),
        rewards=lambda x: x.astype(np.int32),
        terminals=lambda x: x.astype(np.float32),
        timeouts=lambda x: x.astype(np.uint8),
        next_observations=lambda x: x.tolist(),
    )
    got = from_arrays(**data)
    for name in ("obs", "action", "reward", "next_obs", "terminal", "timeout"):
        assert torch.equal(getattr(got.transitions, name), getattr(want.transitions, name)), name
        assert getattr(got.transitions, name).dtype == getattr(want.transitions, name).dtype
    assert got.transitions.obs.dtype == torch.float32
    assert got.transitions.terminal.dtype == torch.bool


def test_the_dataset_shares_no_memory_with_the_arrays():
    data = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in columns(EPISODES).items()}
    dataset = from_arrays(**data)
    for value in data.values():
        value[:] = 1
    assert dataset.transitions.obs[0].tolist() == [0.0, 0.0, 0.5]
    assert not dataset.transitions.terminal[0]


def test_read_only_arrays_are_fine():
    data = columns(EPISODES)
    for value in data.values():
        value.setflags(write=False)
    assert len(from_arrays(**data)) == 5
