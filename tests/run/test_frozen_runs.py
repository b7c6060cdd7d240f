"""A seed that diverges is put back and left; the others are, to the last bit, what they would have been."""

import json
import os
import signal

import pytest
import torch

from mbrl.agents import AGENTS
from mbrl.core.checkpoint import load_tree
from mbrl.core.errors import DivergenceError
from mbrl.core.log import read_metrics
from mbrl.dynamics import Ensemble
from mbrl.run.experience import MixedData, RealData
from mbrl.run.sources import ModelRollouts
from mbrl.run.train import Schedule, Trainer
from tests.core.test_log import scalars
from tests.fakes import Members
from tests.run.poison import Poisoned, huge_head, nan_policy, nan_reward, nan_weight
from tests.run.small_run import (
    DATASET,
    learned,
    look,
    make_data,
    make_experience,
    rows,
    same,
    small_run,
)

SEEDS = (4, 0, 7)
LEFT = [0, 2]


def agent_of(kind):
    """A stack of three. Their members' model is one that all of them share."""
    options = {"sac": {}, "edac": {"num_critics": 3, "eta": 1.0}, "mobile": {"model": Members()}, "combo": {}}
    return AGENTS["sac" if kind == "edac" else kind](3, 2, seeds=SEEDS, hidden=(8, 8), **options[kind])


def ensemble_rows():
    """Rollouts in an ensemble that the seeds share, with an end, so that seeds differ in how long rows live."""
    sizes = {"members": 3, "elites": 2, "hidden": (8,), "weight_decay": (0.0, 0.0)}
    model = Ensemble(3, 2, termination=lambda obs, action, next_obs: next_obs[..., 0] > 1, **sizes)
    data = make_data()
    source = ModelRollouts(model, data, horizon=3)
    return MixedData(data, source, batch_size=8, real_ratio=0.5, starts=6, retain=2, refresh_every=4)


def run(folder, updates=26, *, when=(), kind="edac", rollouts=make_experience, **options):
    agent = Poisoned(agent_of(kind), *when)
    return small_run(folder, updates, agent=agent, experience=rollouts(), seeds=SEEDS, **options)


def assert_left_alone(with_it, without, left=LEFT):
    """The rows and the checkpoint of the members that are left are the same in both runs."""
    seeds = [SEEDS[place] for place in left]
    assert [r for r in rows(with_it) if r["seed"] in seeds] == [
        r for r in rows(without) if r["seed"] in seeds
    ]
    ours, theirs = learned(with_it), learned(without)
    assert ours.keys() == theirs.keys()
    for name, x in theirs.items():
        stacked = x.dim() > 0 and len(x) == 3
        assert torch.equal(ours[name][left], x[left]) if stacked else torch.equal(ours[name], x), name


@pytest.mark.parametrize(
    ("kind", "poison", "rollouts"),
    [
        *(("edac", poison, make_experience) for poison in (nan_weight, nan_reward, huge_head)),
        *((kind, nan_policy, ensemble_rows) for kind in ("sac", "edac", "mobile", "combo")),
        ("mobile", nan_weight, ensemble_rows),
        ("combo", nan_reward, ensemble_rows),
    ],
)
def test_the_others_are_the_same_bits_whether_or_not_a_neighbour_diverged(tmp_path, kind, poison, rollouts):
    # poisoned in update 9, seen at 10: until then it is trained with, sampled and evaluated
    options = {"kind": kind, "rollouts": rollouts, "checkpoint_every": 4}
    result = run(tmp_path / "with", 18, when=[(9, poison())], **options).run()
    run(tmp_path / "without", 18, **options).run()
    assert result["status"] == "finished"
    assert list(result["diverged"]) == ["0"]
    assert_left_alone(tmp_path / "with", tmp_path / "without")


def test_model_free_learning_freezes_as_well(tmp_path):
    options = {"rollouts": lambda: RealData(make_data(), batch_size=8), "kind": "sac"}
    run(tmp_path / "with", when=[(9, nan_weight())], **options).run()
    run(tmp_path / "without", **options).run()
    assert_left_alone(tmp_path / "with", tmp_path / "without")


@pytest.mark.parametrize("at", [9, 10, 13, 16])
def test_a_frozen_seed_stays_as_the_last_sound_checkpoint_had_it(tmp_path, at):
    # saves every 3, looks every 5 and 7, new rows every 4; found in the same update or up to two later
    run(tmp_path / "a", when=[(at, nan_weight())], evaluate=None).run()
    run(tmp_path / "b", (at - 1) // 3 * 3, evaluate=None).run()
    ours, sound = learned(tmp_path / "a"), learned(tmp_path / "b")
    for name, x in sound.items():
        if name.startswith("agent/") and x.dim():
            assert torch.equal(ours[name][1], x[1]), name
    assert all(v.isfinite().all() for v in ours.values() if v.is_floating_point())


def test_it_writes_no_further_rows_and_its_reason_is_told_once(tmp_path, capsys):
    result = run(tmp_path, when=[(9, nan_weight())], checkpoint_every=100).run()
    found = [(r["update"], "eval/return" in r) for r in rows(tmp_path) if r["seed"] == 0]
    # the row in which it was found is its last one: at update 10, with null in it
    assert found == [(0, True), (5, False), (7, False), (7, True), (10, False)]
    (last,) = (r for r in rows(tmp_path) if r["seed"] == 0 and r["update"] == 10)
    assert last["critic/loss"] is None
    board = scalars(tmp_path / "tensorboard" / "seed_0", "critic/gradient_norm")
    assert [step for step, _ in board] == [5, 7]
    text = capsys.readouterr().out
    assert text.count("seed 0, update 10: ") == text.count("diverged") == 1
    end = json.loads((tmp_path / "result.json").read_text())["diverged"]
    assert end == {"0": {"update": 10, "diagnosis": result["diverged"]["0"]["diagnosis"]}}
    assert end["0"]["diagnosis"].startswith("seed 0, update 10: ")
    assert "not finite" in end["0"]["diagnosis"]
    assert [x is None for x in result["return"]["last"]] == [False, True, False]
    assert load_tree(tmp_path / "checkpoint")[1]["frozen"] == {"1": end["0"]}
    bad = learned(tmp_path, "checkpoint-diverged")
    assert bad["agent/critics/net.layers.0.weight"][1].isnan().any()


def test_a_healthy_run_says_nothing_of_it(tmp_path):
    result = run(tmp_path).run()
    assert "diverged" not in result
    assert "frozen" not in load_tree(tmp_path / "checkpoint")[1]
    assert not (tmp_path / "checkpoint-diverged").exists()


def test_seeds_freeze_one_after_the_other_until_none_is_left(tmp_path):
    when = [(2, nan_weight(1)), (9, huge_head(0)), (17, nan_reward(2))]
    run(tmp_path / "two", 16, when=when).run()
    run(tmp_path / "none", 16).run()
    assert_left_alone(tmp_path / "two", tmp_path / "none", [2])
    with pytest.raises(
        DivergenceError, match=r"^seed 4, update .*; seed 0, update .*; seed 7, update "
    ) as caught:
        run(tmp_path / "all", when=when).run()
    result = json.loads((tmp_path / "all" / "result.json").read_text())
    assert result["status"] == "diverged"
    assert result["diagnosis"] == str(caught.value)
    assert [end["update"] for end in result["diverged"].values()] == [9, 3, 18]
    # the last sound state is kept, so that the last seed may be tried again
    meta = load_tree(tmp_path / "all" / "checkpoint")[1]
    assert (meta["update"], list(meta["frozen"])) == (15, ["1", "0"])


def test_two_seeds_may_diverge_at_once(tmp_path):
    def both(agent, batch):
        nan_weight(0)(agent, batch)
        nan_weight(2)(agent, batch)

    result = run(tmp_path / "with", when=[(9, both)]).run()
    run(tmp_path / "without").run()
    assert list(result["diverged"]) == ["4", "7"]
    assert_left_alone(tmp_path / "with", tmp_path / "without", [1])


def test_where_all_diverge_at_once_each_has_its_own_reason(tmp_path):
    def everyone(agent, batch):
        for place in range(3):
            nan_weight(place)(agent, batch)

    with pytest.raises(DivergenceError, match="^seed 4, .*; seed 0, .*; seed 7, "):
        run(tmp_path, when=[(9, everyone)]).run()
    ends = json.loads((tmp_path / "result.json").read_text())["diverged"]
    assert all(end["diagnosis"].startswith(f"seed {seed}, update 9: ") for seed, end in ends.items())


def test_a_refresh_that_finds_no_living_row_freezes_that_seed(tmp_path):
    # the policy breaks in update 8, and rows are drawn anew before the next one; nothing has looked at it by then
    options = {"log_every": 1000, "eval_every": 1000, "checkpoint_every": 7}
    result = run(tmp_path / "with", when=[(8, nan_policy())], **options).run()
    run(tmp_path / "without", **options).run()
    assert result["diverged"]["0"]["update"] == 8
    assert "seed 0: no finite row in a whole refresh" in result["diverged"]["0"]["diagnosis"]
    assert_left_alone(tmp_path / "with", tmp_path / "without")
    # put back, it has living rows again
    assert (learned(tmp_path / "with")["experience/synthetic/counts"] > 0).all()


def test_an_evaluation_that_a_policy_breaks_is_done_again_without_it(tmp_path):
    seen = []

    def evaluate(agent, update):
        action = look(agent, update)["eval/return"]
        seen.append(update)
        lost = {
            place: f"seed {SEEDS[place]} acts badly"
            for place in (~action.isfinite()).nonzero().flatten().tolist()
        }
        if lost:
            raise DivergenceError("; ".join(lost.values()), members=lost)
        return {"eval/return": action}

    class Late(Poisoned):
        """Breaks the policy right after the update, so that no metric of it shows anything."""

        def update(self, batch, streams):
            info = self.agent.update(batch, streams)
            self.updates += 1
            if self.updates == 7:
                nan_policy()(self.agent, batch)
            return info

    options = {"evaluate": evaluate, "experience": make_experience(), "seeds": SEEDS}
    result = small_run(tmp_path / "with", 26, agent=Late(agent_of("edac")), **options).run()
    run(tmp_path / "without").run()
    assert seen == [0, 7, 7, 14, 21, 26]
    assert result["diverged"] == {"0": {"update": 7, "diagnosis": "seed 0 acts badly"}}
    assert_left_alone(tmp_path / "with", tmp_path / "without")


def test_a_checkpoint_that_breaks_an_evaluation_itself_does_not_end_the_run(tmp_path):
    """The state that is gone back to passed the guard, and may yet act badly somewhere."""

    def strict(agent, update):
        action = agent.act(torch.linspace(-1, 1, 15).view(1, 5, 3).expand(3, 5, 3))
        if update >= 7 and action[1].any():
            raise DivergenceError("seed 0 acts badly", members={1: "seed 0 acts badly"})
        return look(agent, update)

    result = run(tmp_path / "with", evaluate=strict).run()
    run(tmp_path / "without").run()
    assert (result["status"], list(result["diverged"])) == ("finished", ["0"])
    assert_left_alone(tmp_path / "with", tmp_path / "without")


class Killed(BaseException):
    """Stands for a kill: nothing may catch it."""


@pytest.mark.parametrize("at", [11, 14, 20])
def test_a_resumed_run_keeps_its_frozen_seeds_bit_for_bit(tmp_path, at):
    def die(agent, batch):
        raise Killed

    when = [(9, nan_weight())]
    with pytest.raises(Killed):
        run(tmp_path / "parts", when=[*when, (at, die)]).run()
    assert all(v.isfinite().all() for v in learned(tmp_path / "parts").values() if v.is_floating_point())
    resumed = run(tmp_path / "parts", resume=True)
    assert resumed.update == (at - 1) // 3 * 3
    resumed.run()
    run(tmp_path / "whole", when=when).run()
    assert same(learned(tmp_path / "parts"), learned(tmp_path / "whole"))
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")
    results = [json.loads((tmp_path / name / "result.json").read_text()) for name in ("parts", "whole")]
    for key in ("diverged", "return", "status", "updates"):
        assert results[0][key] == results[1][key]


def test_killed_before_the_save_after_it_froze_it_freezes_again(tmp_path):
    def die(agent, batch):
        raise Killed

    when = [(9, nan_weight())]
    plan = {"checkpoint_every": 8}
    with pytest.raises(Killed):
        run(tmp_path / "parts", when=[*when, (12, die)], **plan).run()
    # the resumed agent has done 8 updates; its own first one is the ninth
    run(tmp_path / "parts", when=[(1, nan_weight())], resume=True, **plan).run()
    run(tmp_path / "whole", when=when, **plan).run()
    assert same(learned(tmp_path / "parts"), learned(tmp_path / "whole"))
    assert read_metrics(tmp_path / "parts" / "metrics.jsonl") == rows(tmp_path / "whole")


def test_an_interrupted_run_tells_of_it_too(tmp_path):
    def interrupt(agent, batch):
        os.kill(os.getpid(), signal.SIGINT)

    result = run(tmp_path, when=[(9, nan_weight()), (15, interrupt)]).run()
    assert (result["status"], result["updates"]) == ("interrupted", 15)
    assert list(result["diverged"]) == ["0"]
    assert run(tmp_path, resume=True).run()["diverged"] == result["diverged"]


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_on_cuda_the_others_are_the_same_bits(tmp_path, mode):
    """Poisoned between two updates, where a captured one sees it, too."""

    def cuda_run(folder, *poisoned):
        def evaluate(agent, update):
            if update in poisoned:
                nan_weight()(agent, None)
            obs = torch.linspace(-1, 1, 15).view(1, 5, 3).expand(len(SEEDS), 5, 3)
            return {"eval/return": agent.act(obs.cuda()).sum((1, 2))}

        agent = AGENTS["sac"](3, 2, seeds=SEEDS, num_critics=3, eta=1.0, hidden=(8, 8), device="cuda")
        data = RealData(make_data().to("cuda"), batch_size=8)
        plan = Schedule(20, eval_every=7, log_every=5, checkpoint_every=3, progress=False)
        options = {"seeds": SEEDS, "dataset": DATASET, "device": "cuda", "evaluate": evaluate}
        return Trainer(folder, agent, data, plan, accelerate=mode, **options).run()

    assert list(cuda_run(tmp_path / "with", 7)["diverged"]) == ["0"]
    cuda_run(tmp_path / "without")
    assert_left_alone(tmp_path / "with", tmp_path / "without")
