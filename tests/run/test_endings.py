"""How a run ends before its time: divergence with a diagnosis, a clean stop, an error of someone else's."""

import json
import os
import signal

import pytest

from mbrl.core.errors import DivergenceError
from tests.run.poison import Poisoned, huge_head, nan_policy, nan_reward, nan_weight
from tests.run.small_run import learned, look, make_agent, rows, same, small_run

POISONS = [
    (nan_weight(0), r"seed 7, update 10: .*critic/loss.* not finite"),
    (nan_reward(0), r"seed 7, update 10: .*critic/target_mean.* not finite"),
    (huge_head(0), r"seed 7, update 10: mean Q is [1-9]\S*, beyond train.q_limit=1e\+07"),
]


@pytest.mark.parametrize(("poison", "message"), POISONS)
@pytest.mark.parametrize("log_every", [5, 10])
def test_divergence_ends_the_run_with_a_diagnosis_and_a_good_checkpoint(tmp_path, poison, message, log_every):
    # poisoned in update 9; seen at 10, or already by the save at 9; the last good state is that of 8 or 6
    agent = Poisoned(make_agent(seeds=(7,)), (9, poison))
    plan = {"seeds": (7,), "evaluate": None, "checkpoint_every": 4 if log_every == 5 else 20}
    trainer = small_run(tmp_path, 30, agent=agent, log_every=log_every, eval_every=100, **plan)
    with pytest.raises(DivergenceError, match=message) as caught:
        trainer.run()
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["status"], result["updates"]) == ("diverged", 10)
    assert result["diagnosis"] == str(caught.value)
    assert result["diverged"] == {"7": {"update": 10, "diagnosis": result["diagnosis"]}}
    good = {k: v for k, v in learned(tmp_path).items() if v.is_floating_point()}
    assert all(v.isfinite().all() for v in good.values())
    bad = learned(tmp_path, "checkpoint-diverged")
    if poison is not POISONS[-1][0]:
        assert not all(v.isfinite().all() for k, v in bad.items() if k.startswith("agent/critics"))
    resumed = small_run(tmp_path, 30, resume=True, **plan)
    assert resumed.update == (8 if log_every == 5 else 0)
    assert resumed.run()["status"] == "finished"


def test_a_state_that_is_not_finite_never_replaces_the_last_good_checkpoint(tmp_path):
    agent = Poisoned(make_agent(seeds=(7,)), (5, nan_weight(0)))
    plan = {"log_every": 1000, "eval_every": 1000, "checkpoint_every": 2, "seeds": (7,)}
    with pytest.raises(DivergenceError, match="seed 7, update 6"):
        small_run(tmp_path, 30, agent=agent, **plan).run()
    assert all(v.isfinite().all() for k, v in learned(tmp_path).items() if v.is_floating_point())
    assert small_run(tmp_path, 30, resume=True, **plan).update == 4


def test_a_model_that_gives_nothing_finite_is_divergence_too(tmp_path):
    agent = Poisoned(make_agent(seeds=(7,)), (8, nan_policy(0)))
    with pytest.raises(DivergenceError, match=r"seed 7: no finite row in a whole refresh"):
        small_run(tmp_path, 30, agent=agent, evaluate=None, log_every=1000, seeds=(7,)).run()
    assert json.loads((tmp_path / "result.json").read_text())["status"] == "diverged"


@pytest.mark.parametrize("where", ["evaluation", "update"])
def test_divergence_that_names_nobody_is_everybodys(tmp_path, where):
    def failing(agent, update):
        if where == "evaluation" and update == 7:
            raise DivergenceError("the policy gave the action nan")
        return look(agent, update)

    def fail(agent, batch):
        raise DivergenceError("the policy gave the action nan")

    agent = Poisoned(make_agent(), *([(8, fail)] if where == "update" else []))
    with pytest.raises(DivergenceError, match="^the policy gave the action nan$"):
        small_run(tmp_path, 30, agent=agent, evaluate=failing).run()
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["status"], result["updates"]) == ("diverged", 7)
    assert result["diagnosis"] == "the policy gave the action nan"
    assert result["diverged"].keys() == {"0", "1"}
    assert result["return"] == {key: [None, None] for key in ("last", "mean_last_10", "best")}


def test_divergence_before_the_first_checkpoint_leaves_nothing_to_go_back_to(tmp_path):
    def failing(agent, update):
        raise DivergenceError("seed 1 is lost", members={1: "seed 1 is lost"})

    with pytest.raises(DivergenceError, match="seed 1 is lost"):
        small_run(tmp_path, 30, evaluate=failing).run()
    assert json.loads((tmp_path / "result.json").read_text())["diverged"].keys() == {"0", "1"}


def test_without_a_limit_large_values_go_on(tmp_path):
    agent = Poisoned(make_agent(), (9, huge_head()))
    assert small_run(tmp_path, 12, agent=agent, q_limit=None).run()["status"] == "finished"


@pytest.mark.parametrize("where", ["update", "evaluation"])
def test_ctrl_c_ends_cleanly_with_a_checkpoint_of_that_very_update(tmp_path, where):
    def interrupt(*_):
        os.kill(os.getpid(), signal.SIGINT)

    def evaluate(agent, update):
        if where == "evaluation" and update == 7:
            interrupt()
        return look(agent, update)

    agent = Poisoned(make_agent(), (7 if where == "update" else 0, interrupt))
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
    assert all(log.file.closed for log in trainer.records.logs)
    assert not (tmp_path / "result.json").exists()
    assert small_run(tmp_path, 8, resume=True).update == 6
