from dataclasses import replace

import pytest
import torch

from mbrl.core.errors import DataError
from mbrl.core.types import EnvSpec
from mbrl.datasets import from_arrays
from tests.datasets.layouts import Episode, columns

EPISODES = [Episode(2, "terminal"), Episode(3, "timeout"), Episode(2, "cut")]


def test_the_summary_says_what_was_found():
    env = EnvSpec("Toy-v1", {"gravity": 2.0}, {"mujoco": "3.4.0"})
    dataset = from_arrays(**columns(EPISODES, ("next_observations",)), env=env)
    assert dataset.summary().splitlines() == [
        "dataset local/arrays",
        "  transitions  5 (obs 3, action 2)",
        "  episodes     3, mean length 2.3",
        "  return       min 1.00, mean 235.00, max 401.00",
        "  terminals    1, timeouts 1",
        "  dropped      1 timeout rows without a recorded successor, "
        "1 last row of an unfinished episode without a recorded successor",
        f"  sha256       {dataset.sha256}",
        "  environment  Toy-v1 gravity=2.0 (recorded with mujoco 3.4.0)",
        "  note         the last episode is unfinished; it counts as one, with the return it got so far",
        "  note         1 terminal rows have no recorded successor: good for values, not for dynamics",
    ]


def test_an_unbound_dataset_says_so():
    assert "unknown: pass env= to bind one" in from_arrays(**columns(EPISODES)).summary()


def test_columns_must_agree():
    dataset = from_arrays(**columns(EPISODES))
    with pytest.raises(DataError, match=r"episode is torch\.int64"):
        replace(dataset, episode=dataset.episode[:-1])
    with pytest.raises(DataError, match=r"successor_known is torch\.bool"):
        replace(dataset, successor_known=torch.ones(len(dataset)))
