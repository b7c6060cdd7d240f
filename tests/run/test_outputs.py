"""Targets: both formats under matching names, checked before and written after."""

import pytest

from mbrl.core.errors import ConfigError
from mbrl.datasets import load
from mbrl.run.outputs import Outputs
from tests.datasets.recordings import stepped

ID = "collected/Hopper-v5/medium-replay-v0"


@pytest.fixture(autouse=True)
def _minari_root(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))


def test_both_formats_hold_the_same(tmp_path):
    outputs = Outputs(tmp_path / "out")
    outputs.check([ID])
    file, folder = outputs.write(stepped(steps=20, dataset_id=ID))
    assert file == tmp_path / "out" / "hopper-v5-medium-replay-v0.hdf5"
    assert folder == tmp_path / "minari" / ID
    one, two = load(file, verbose=False).transitions, load(f"minari/{ID}", verbose=False).transitions
    for name in ("obs", "action", "reward", "next_obs", "terminal", "timeout", "sim_state"):
        assert getattr(one, name).equal(getattr(two, name))


def test_options_reach_the_writers(tmp_path):
    outputs = Outputs(
        tmp_path, formats=("hdf5", "minari"), next_observations=False, minari_format="arrow", overwrite=True
    )
    for _ in range(2):
        file, folder = outputs.write(stepped(steps=20, dataset_id=ID))
    assert not load(file, verbose=False).successor_known.all() or load(file, verbose=False).stats.dropped
    assert list(folder.rglob("*.arrow"))


def test_targets_are_checked_early(tmp_path):
    outputs = Outputs(tmp_path)
    outputs.write(stepped(steps=20, dataset_id=ID))
    for formats in (("hdf5",), ("minari",)):
        with pytest.raises(ConfigError, match="exists"):
            Outputs(tmp_path, formats=formats).check([ID])
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError, match="taken"):
        Outputs(tmp_path / "taken").check([ID])
    with pytest.raises(ConfigError, match="did you mean 'hdf5'"):
        Outputs(tmp_path, formats=("hdf",)).check([ID])
