import numpy as np
import pytest

from mbrl.core.errors import DataError
from mbrl.core.types import EnvSpec
from mbrl.datasets import from_d4rl_env
from tests.datasets.layouts import Episode, columns, d4rl_like


def hopper_like(episodes, without=()):
    data = columns(episodes, without)
    rows = len(data["rewards"])
    data["observations"] = np.pad(data["observations"], ((0, 0), (0, 8)))
    data["actions"] = np.zeros((rows, 3), dtype=np.float32)
    return data | {"metadata/algorithm": b"SAC"}


def test_a_published_name_binds_gymnasiums_environment_and_the_score():
    data = hopper_like([Episode(3, "terminal"), Episode(3, "timeout")], ("next_observations",))
    dataset = from_d4rl_env(d4rl_like(data, "hopper-medium-v2", 1000))
    assert dataset.id == "d4rl/hopper-medium-v2"
    assert dataset.env == EnvSpec("Hopper-v4")
    assert len(dataset) == 5


def test_the_objects_step_limit_ends_episodes():
    data = hopper_like([Episode(3, "timeout")] * 3, ("next_observations", "timeouts"))
    assert from_d4rl_env(d4rl_like(data, "hopper-medium-v2", 3)).stats.episodes == 3
    assert from_d4rl_env(d4rl_like(data, "hopper-medium-v2", 3), max_episode_steps=9).stats.episodes == 1


def test_another_name_is_noted_and_has_no_environment():
    dataset = from_d4rl_env(d4rl_like(columns([Episode(3, "terminal")]), "my-env-v0"))
    assert (dataset.id, dataset.env) == ("local/my-env-v0", None)
    assert any("not one of D4RL's datasets" in note for note in dataset.stats.notes)


def test_an_environment_without_data_is_refused():
    with pytest.raises(DataError, match="object has no get_dataset"):
        from_d4rl_env(object())
