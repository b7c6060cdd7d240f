"""A run one seed of which diverges, from its configuration to everything that reads its folder."""

import json

import pytest
import torch

from mbrl.agents import SAC
from mbrl.conf import compose
from mbrl.diagnose.report import markdown, read_runs
from mbrl.run.build import evaluate_run, train_from_config
from mbrl.run.build.audit import audit_run


class Unlucky(SAC):
    """SAC whose second member's policy breaks after two updates of a process."""

    done = 0

    def update(self, batch, streams):
        info = super().update(batch, streams)
        self.done += 1
        if self.done == 2:
            with torch.no_grad():
                self.actor_parameters[0][1] = torch.nan
        return info


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("lost")
    own = ["agent=custom", "agent._target_=tests.run.test_lost_seed.Unlucky", "agent.kwargs={hidden: [8]}"]
    plan = ["train.updates=6", "train.eval_every=2", "train.checkpoint_every=1", "train.log_every=100"]
    common = [f"out={place}/run", f"dynamics.cache={place}/cache", "device=cpu", "preset=debug"]
    return train_from_config(compose([*common, *own, *plan, "seeds=[3,7]"]))


def test_the_real_evaluation_freezes_it_and_the_run_finishes(folder):
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "finished"
    assert list(result["diverged"]) == ["7"]
    assert result["diverged"]["7"]["update"] == 2
    assert "the policy of seed 7 gave the action [nan" in result["diverged"]["7"]["diagnosis"]
    assert [value is None for value in result["return"]["last"]] == [False, True]
    assert (folder / "run.png").stat().st_size > 10_000


def test_its_checkpoint_is_evaluated_as_it_was_before_and_named(folder):
    found = evaluate_run(folder, episodes=2, device="cpu")
    assert found["diverged"][7]["update"] == 2
    assert all(value == value for value in found["return"])
    assert "diverged" not in evaluate_run(folder, episodes=2, device="cpu", seeds=[3])


def test_reports_name_it(folder):
    status = [line.split("|")[4].strip() for line in markdown(read_runs([folder])).splitlines()[3:]]
    assert status == ["finished", "diverged"]


def test_an_audit_of_it_says_so(folder, monkeypatch):
    monkeypatch.setattr("mbrl.diagnose.audit.pictures", lambda *arguments: {})
    page = audit_run(folder, starts=20, mc_horizon=15, device="cpu", progress=False)
    about = json.loads((page.parent / "audit.json").read_text())["about"]
    assert about["diverged"] == "seed 7 at update 2; audited as the last sound checkpoint has them"
