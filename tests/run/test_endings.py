"""How a run ends before its time: divergence with a diagnosis, a clean stop, an error of someone else's."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch

from mbrl.core.errors import DivergenceError
from tests.run.small_run import learned, look, make_agent, rows, same, small_run


class Poisoned:
    """Delegates to an agent, and does something to it before its n-th update."""

    def __init__(self, agent, update, poison):
        self.agent, self.left, self.poison = agent, update, poison

    def __getattr__(self, name):
        return getattr(self.agent, name)

    def update(self, batch, streams):
        self.left -= 1
        if self.left == 0:
            batch = self.poison(self.agent, batch) or batch
        return self.agent.update(batch, streams)


@torch.no_grad()
def nan_weight(agent, batch):
    agent.critics.net.layers[0].weight[1, 0, 0, 0] = torch.nan


@torch.no_grad()
def nan_policy(agent, batch):
    agent.actor_parameters[0][1] = torch.nan


@torch.no_grad()
def huge_head(agent, batch):
    agent.critics.net.layers[-1].bias[1] = 1e9


def nan_reward(agent, batch):
    reward = batch.reward.clone()
    reward[1, 0] = torch.nan
    return replace(batch, reward=reward)


@pytest.mark.parametrize(
    ("poison", "message"),
    [
        (nan_weight, r"seed 1, update 10: .*critic/loss.* not finite"),
        (nan_reward, r"seed 1, update 10: .*critic/target_mean.* not finite"),
        (huge_head, r"seed 1, update 10: mean Q is [1-9]\S*, beyond train.q_limit=1e\+07"),
    ],
)
@pytest.mark.parametrize("log_every", [5, 10])
def test_divergence_ends_the_run_with_a_diagnosis_and_a_good_checkpoint(tmp_path, poison, message, log_every):
    # poisoned in update 9; seen at 10, or already by the save at 9; the last good state is that of 8 or 6
    agent = Poisoned(make_agent(), 9, poison)
    checkpoints = {"checkpoint_every": 4 if log_every == 5 else 20}
    trainer = small_run(
        tmp_path, 30, agent=agent, evaluate=None, log_every=log_every, eval_every=100, **checkpoints
    )
    with pytest.raises(DivergenceError, match=message):
        trainer.run()
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["status"], result["updates"]) == ("diverged", 10)
    assert result["diagnosis"].startswith("seed 1, update 10: ")
    good = {k: v for k, v in learned(tmp_path).items() if v.is_floating_point()}
    assert all(v.isfinite().all() for v in good.values())
    bad = learned(tmp_path, "checkpoint-diverged")
    if poison is not huge_head:
        assert not all(v.isfinite().all() for k, v in bad.items() if k.startswith("agent/critics"))
    resumed = small_run(tmp_path, 30, evaluate=None, resume=True)
    assert resumed.update == (8 if log_every == 5 else 0)
    assert resumed.run()["status"] == "finished"


def test_a_state_that_is_not_finite_never_replaces_the_last_good_checkpoint(tmp_path):
    agent = Poisoned(make_agent(), 5, nan_weight)
    trainer = small_run(tmp_path, 30, agent=agent, log_every=1000, eval_every=1000, checkpoint_every=2)
    with pytest.raises(DivergenceError, match="seed 1, update 6"):
        trainer.run()
    assert all(v.isfinite().all() for k, v in learned(tmp_path).items() if v.is_floating_point())
    assert small_run(tmp_path, 30, resume=True).update == 4


def test_a_model_that_gives_nothing_finite_is_divergence_too(tmp_path):
    agent = Poisoned(make_agent(), 8, nan_policy)
    with pytest.raises(DivergenceError, match=r"no finite row in a whole refresh for seeds \[1\]"):
        small_run(tmp_path, 30, agent=agent, evaluate=None, log_every=1000).run()
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "diverged"


def test_divergence_found_while_evaluating_is_one(tmp_path):
    def failing(agent, update):
        if update == 7:
            raise DivergenceError("the policy of seed 1 gave the action nan")
        return look(agent, update)

    with pytest.raises(DivergenceError, match="gave the action nan"):
        small_run(tmp_path, 30, evaluate=failing).run()
    assert json.loads((tmp_path / "result.json").read_text())["diagnosis"].startswith("the policy of seed 1")


def test_without_a_limit_large_values_go_on(tmp_path):
    agent = Poisoned(make_agent(), 9, huge_head)
    assert small_run(tmp_path, 12, agent=agent, q_limit=None).run()["status"] == "finished"


@pytest.mark.parametrize("where", ["update", "evaluation"])
def test_ctrl_c_ends_cleanly_with_a_checkpoint_of_that_very_update(tmp_path, where):
    def interrupt(*_):
        os.kill(os.getpid(), signal.SIGINT)

    def evaluate(agent, update):
        if where == "evaluation" and update == 7:
            interrupt()
        return look(agent, update)

    agent = Poisoned(make_agent(), 7 if where == "update" else 0, interrupt)
    result = small_run(tmp_path, 30, agent=agent, evaluate=evaluate, checkpoint_every=1000).run()
    assert (result["status"], result["updates"]) == ("interrupted", 7)
    resumed = small_run(tmp_path, 30, resume=True)
    assert resumed.update == 7
    resumed.run()
    small_run(tmp_path / "whole", 30).run()
    assert same(learned(tmp_path), learned(tmp_path / "whole"))
    assert rows(tmp_path) == rows(tmp_path / "whole")


def test_a_stop_before_the_first_update_saves_the_beginning(tmp_path):
    def evaluate(agent, update):
        os.kill(os.getpid(), signal.SIGTERM)
        return look(agent, update)

    result = small_run(tmp_path, 30, evaluate=evaluate).run()
    assert (result["status"], result["updates"]) == ("interrupted", 0)
    assert small_run(tmp_path, 3, resume=True).run()["status"] == "finished"


def test_any_other_error_is_passed_on_and_leaves_the_last_checkpoint(tmp_path):
    def broken(agent, update):
        if update == 7:
            raise RuntimeError("the simulator is gone")
        return look(agent, update)

    trainer = small_run(tmp_path, 30, evaluate=broken)
    with pytest.raises(RuntimeError, match="the simulator is gone"):
        trainer.run()
    assert trainer.log.file.closed
    assert not (tmp_path / "result.json").exists()
    assert small_run(tmp_path, 8, resume=True).update == 6
