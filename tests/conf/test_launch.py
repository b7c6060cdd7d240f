"""What reaches the launcher: the points that are left, each once; failures of one do not keep the others."""

import sys

import pytest
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig

from mbrl.conf.grid import plan_grid
from mbrl.conf.launch import GridTask, launch

HERE = ["-m"]
BY_HYDRA = ["-m", "hydra/launcher=basic"]


@pytest.fixture
def launched(tmp_path, monkeypatch):
    """Launches three points, of which those of the seeds given have ended; the seeds that ran, and the outcome."""

    def go(words, *, ended=(), fails=()):
        ran = []

        def run(config, *, wait):
            assert not wait
            ran.append(config.seeds[0])
            if config.seeds[0] in fails:
                raise ValueError(f"seed {config.seeds[0]}")
            return "finished"

        monkeypatch.setattr(sys, "argv", ["train.py", *words])
        plan = plan_grid(["preset=debug", "seeds=[0],[1],[2]", f"out={tmp_path}/grid"])
        task = GridTask(run, lambda plan: False, lambda plan: None, lambda config: config.seeds[0] in ended)
        args = get_args_parser().parse_args(words)
        try:
            return ran, launch(plan, task, args)
        except ValueError as error:
            return ran, str(error)

    return go


@pytest.mark.parametrize("words", [HERE, BY_HYDRA])
def test_points_that_have_ended_are_not_launched(launched, words, capsys):
    assert launched(words) == ([0, 1, 2], False)
    assert "3 points in" in capsys.readouterr().out
    assert launched(words, ended=(0, 2)) == ([1], False)
    assert "1 of them left" in capsys.readouterr().out
    assert launched(words, ended=(0, 1, 2)) == ([], False)


def test_an_error_of_one_is_raised_after_the_others_here(launched):
    assert launched(HERE, fails=(1,)) == ([0, 1, 2], "seed 1")


def test_hydras_own_folder_is_that_of_the_grid_whatever_folder_a_job_starts_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", *BY_HYDRA])
    found = []

    def run(config, *, wait):
        found.append(HydraConfig.get().sweep.dir)
        return "finished"

    plan = plan_grid(["preset=debug", "out=grid"])
    launch(plan, GridTask(run, lambda plan: False, lambda plan: None), get_args_parser().parse_args(BY_HYDRA))
    assert found == [f"{tmp_path}/grid/.hydra"]
