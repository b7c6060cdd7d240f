"""What differs is refused by name, and merged only if that name is given."""

import pytest

from mbrl.core.errors import ConfigError, MismatchError
from mbrl.diagnose.runs.mixed import MERGE, check_mergeable
from mbrl.diagnose.runs.record import read_record
from tests.diagnose.runs.folders import change, write_run

OTHER = {
    "datasets": {"dataset": "walker2d"},
    "versions": {"sha": "b" * 64},
    "environments": {"env": "Hopper-v4"},
    "mujoco": {"mujoco": "3.3.2"},
}


def pair(folder, **other):
    return [read_record(write_run(folder / "a")), read_record(write_run(folder / "b", **other))]


@pytest.mark.parametrize("kind", OTHER)
def test_refused_by_name_and_merged_if_told_to(tmp_path, kind):
    records = pair(tmp_path, **OTHER[kind])
    (value,) = OTHER[kind].values()
    with pytest.raises(MismatchError, match=rf"{value}.*/b\).*--merge {kind}$"):
        check_mergeable(records)
    with pytest.raises(MismatchError):
        check_mergeable(records, set(MERGE) - {kind})
    (sentence,) = check_mergeable(records, [kind])
    assert value in sentence


def test_all_that_differs_is_named_at_once(tmp_path):
    records = pair(tmp_path, sha="b" * 64, env="Hopper-v4", mujoco="3.3.2")
    with pytest.raises(MismatchError, match="--merge versions environments mujoco$"):
        check_mergeable(records)
    assert len(check_mergeable(records, MERGE)) == 3


def test_every_dataset_that_differs_is_named(tmp_path):
    records = [*pair(tmp_path / "a", sha="b" * 64), *pair(tmp_path / "b", dataset="walker2d")]
    other = write_run(tmp_path / "c", dataset="walker2d", sha="c" * 64)
    with pytest.raises(
        MismatchError, match=r"of hopper differs.*of walker2d differs.*--merge datasets versions$"
    ):
        check_mergeable([*records, read_record(other)])


def test_equal_runs_and_other_environments_of_other_datasets(tmp_path):
    assert check_mergeable(pair(tmp_path)) == []
    records = pair(tmp_path / "c", dataset="walker2d", env="Walker2d-v5", sha="b" * 64)
    assert len(check_mergeable(records, ["datasets"])) == 1


def test_arguments_of_the_environment_count(tmp_path):
    folder = write_run(tmp_path / "a")
    other = write_run(tmp_path / "b")
    data = read_record(other).dataset
    change(other, dataset=data | {"env": {"id": "Hopper-v5", "kwargs": {"gravity": 5}, "versions": {}}})
    with pytest.raises(MismatchError, match="gravity"):
        check_mergeable([read_record(folder), read_record(other)])


def test_an_unknown_version_is_not_the_same_version(tmp_path):
    folder = write_run(tmp_path / "b")
    change(folder, versions={})
    with pytest.raises(MismatchError, match="unknown"):
        check_mergeable([read_record(write_run(tmp_path / "a")), read_record(folder)])


def test_a_run_that_goes_on_names_no_data_yet(tmp_path):
    assert check_mergeable(pair(tmp_path, status="unfinished", dataset="walker2d")) == []


def test_a_name_that_is_none(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'mujoco'"):
        check_mergeable(pair(tmp_path), ["mujco"])
