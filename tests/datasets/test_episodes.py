import numpy as np
import pytest

from mbrl.core.errors import DataError
from mbrl.core.types import EnvSpec
from mbrl.datasets import from_arrays
from tests.datasets.layouts import Episode, columns


def test_an_existing_timeouts_column_is_trusted_and_breaks_inside_episodes_are_noted():
    data = columns([Episode(2, "timeout"), Episode(3, "timeout")])
    data["timeouts"][1] = False  # the recorder forgot one
    dataset = from_arrays(**data)
    assert dataset.stats.episodes == 1
    assert any("at 1 rows inside episodes" in note for note in dataset.stats.notes)
    # The stored successor is used all the same, so nothing crosses.
    assert dataset.transitions.next_obs[1].tolist() == [0.0, 2.0, 0.5]


def test_the_environment_gives_the_step_limit():
    data = columns([Episode(1000, "timeout"), Episode(4, "terminal")], ("timeouts", "next_observations"))
    data["observations"] = np.zeros((1004, 11))
    data["actions"] = np.zeros((1004, 3))
    dataset = from_arrays(**data, env=EnvSpec("Hopper-v5"))
    assert dataset.stats.episodes == 2
    assert sum(dataset.stats.dropped.values()) == 1
    shorter = from_arrays(**data, env=EnvSpec("Hopper-v5", {"max_episode_steps": 500}))
    assert shorter.stats.episodes == 3


def test_terminals_alone_are_taken_with_a_note():
    data = columns([Episode(3, "terminal"), Episode(2, "cut")], ("timeouts", "next_observations"))
    dataset = from_arrays(**data)
    assert dataset.stats.episodes == 2
    assert any("pass max_episode_steps" in note for note in dataset.stats.notes)
    assert any("unfinished" in note for note in dataset.stats.notes)


def test_no_complete_episode_is_an_error():
    for without in ((), ("timeouts",), ("timeouts", "next_observations")):
        with pytest.raises(DataError, match="no complete episode: none of its 4 rows"):
            from_arrays(**columns([Episode(4, "cut")], without))


def test_a_step_limit_below_one_is_refused():
    with pytest.raises(DataError, match="max_episode_steps is 0; expected at least 1"):
        from_arrays(**columns([Episode(4, "terminal")]), max_episode_steps=0)


def test_rounding_is_no_border():
    data = columns([Episode(4, "terminal"), Episode(2, "terminal")], ("timeouts",))
    data["next_observations"] = data["next_observations"] * (1 + 1e-7)
    assert from_arrays(**data).stats.episodes == 2
