"""Launchers start from our settings; the command line wins; one that is not installed says what to install."""

from importlib.metadata import PackageNotFoundError

import pytest
from hydra import compose
from omegaconf import OmegaConf

from mbrl.conf import launchers
from mbrl.conf.choices import config_loader
from mbrl.conf.launchers import FOLDER, PACKAGES, from_engine, launcher_settings
from mbrl.conf.store import LAUNCH_NAME
from mbrl.core.errors import ConfigError


def _settings(*options):
    """hydra.launcher as a grid's launch composes it."""
    pytest.importorskip("hydra_plugins.hydra_ray_launcher")
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    with config_loader():
        own = ["hydra.sweep.dir=/grid/.hydra", "hydra.mode=MULTIRUN"]
        overrides = [*launcher_settings(options), *options, *own]
        whole = compose(LAUNCH_NAME, overrides, return_hydra_config=True)
    found = OmegaConf.to_container(whole.hydra.launcher, resolve=False)
    return found | {"mode": whole.hydra.sweep.mode}


def test_every_file_of_settings_is_one_of_a_known_launcher():
    assert {path.stem for path in FOLDER.glob("*.yaml")} == {"ray", "submitit_slurm", "submitit_local"}
    assert all(path.stem in PACKAGES for path in FOLDER.glob("*.yaml"))


def test_ray_joins_clusters_and_starts_lost_runs_again():
    found = _settings("hydra/launcher=ray")
    assert found["ray"]["init"]["address"] is None
    # Without this entry the package sets a size, and ray.init refuses that for a cluster that runs already.
    assert found["ray"]["init"]["object_store_memory"] is None
    assert found["ray"]["remote"]["max_retries"] >= 3
    assert found["ray"]["remote"]["num_cpus"] == 1


def test_the_command_line_wins_and_may_add_arguments_of_rays():
    found = _settings(
        "hydra/launcher=ray",
        "hydra.launcher.ray.init.address=auto",
        "hydra.launcher.ray.remote.num_gpus=0.25",
        "hydra.launcher.ray.remote.max_retries=0",
        "+hydra.launcher.ray.remote.resources={big: 1}",
    )["ray"]
    assert found["init"]["address"] == "auto"
    assert found["remote"]["num_gpus"] == 0.25
    assert found["remote"]["max_retries"] == 0
    assert found["remote"]["resources"] == {"big": 1}


def test_slurm_jobs_go_back_into_the_queue():
    found = _settings("hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu")
    assert found["max_num_timeout"] > 0
    assert found["timeout_min"] == 1440
    assert found["partition"] == "gpu"
    assert found["submitit_folder"].startswith("${hydra.sweep.dir}/")


def test_the_folder_that_may_hold_pickles_is_the_owners_alone():
    assert _settings("hydra/launcher=submitit_local")["mode"] == "0700"


def test_other_launchers_are_left_as_they_are():
    assert launcher_settings([]) == launcher_settings(["hydra/launcher=basic"]) == []
    assert launcher_settings(["hydra/launcher=joblib", "hydra.verbose=true"]) == []
    assert launcher_settings(["hydra/launcher=ray_aws"]) == []


@pytest.mark.parametrize(("name", "extra"), [("ray", "ray"), ("ray_aws", "ray"), ("submitit_slurm", "slurm")])
def test_a_launcher_that_is_not_installed_says_which_extra_brings_it(monkeypatch, name, extra):
    def missing(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(launchers, "distribution", missing)
    with pytest.raises(ConfigError, match=rf"hydra/launcher={name} needs .*'offline-mbrl\[{extra}\]'"):
        launcher_settings([f"hydra/launcher={name}"])


def test_errors_of_the_engines_are_told_from_those_of_runs(tmp_path):
    submitit = pytest.importorskip("submitit")
    with pytest.raises(NameError, match="executor name") as engine:
        submitit.AutoExecutor(folder=tmp_path, cluster="debug").update_parameters(nothing=1)
    assert from_engine(engine.value)
    with pytest.raises(ValueError, match="own") as own:
        raise ValueError("own")
    assert not from_engine(own.value)
