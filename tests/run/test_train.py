"""The loop: what is logged and when, that looking changes nothing, and that a stack is its singles."""

import json

import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.run.experience import RealData
from mbrl.run.train import Schedule
from tests.run.small_run import (
    KINDS,
    learned,
    look,
    make_data,
    make_experience,
    rows,
    same,
    small_run,
)


def test_a_finished_run_leaves_the_folder_of_the_contract(tmp_path):
    result = small_run(tmp_path, 17).run()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint",
        "checkpoint.previous",
        "metrics.jsonl",
        "result.json",
        "tensorboard",
    ]
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert (result["status"], result["updates"], result["seeds"]) == ("finished", 17, [0, 1])
    assert "diagnosis" not in result
    for seed in (0, 1):
        assert list((tmp_path / "tensorboard" / f"seed_{seed}").glob("events*"))
    last = [row["eval/return"] for row in rows(tmp_path) if row["update"] == 17 and "eval/return" in row]
    assert result["return"]["last"] == last


def test_rows_come_when_due_one_a_seed(tmp_path):
    small_run(tmp_path, 17).run()
    found = rows(tmp_path)
    evaluations = [(r["update"], r["seed"]) for r in found if "eval/return" in r]
    looks = [(r["update"], r["seed"]) for r in found if "critic/loss" in r]
    assert evaluations == [(u, s) for u in (0, 7, 14, 17) for s in (0, 1)]
    assert looks == [(u, s) for u in (5, 7, 10, 14, 15, 17) for s in (0, 1)]
    names = {name.split("/")[0] for r in found if "critic/loss" in r for name in r}
    assert names == {"update", "seed", "actor", "critic", "source", "reach"}


class Counting:
    """An agent that learns nothing; its metric is the number of its updates, for seed 1 ten times that."""

    def __init__(self):
        self.updates = 0

    def act(self, obs, streams=None):
        return torch.zeros(*obs.shape[:-1], 2)

    def update(self, batch, streams):
        self.updates += 1
        return {"actor/count": self.updates * torch.tensor([1.0, 10.0]), "actor/one": torch.ones(2)}

    def state_dict(self):
        return {"updates": torch.tensor(self.updates)}

    def load_state_dict(self, state):
        self.updates = int(state["updates"])


def test_logged_metrics_are_means_over_the_updates_since_the_last_look(tmp_path):
    small_run(tmp_path, 11, agent=Counting(), evaluate=None, log_every=4, eval_every=100).run()
    found = [(r["update"], r["seed"], r["actor/count"]) for r in rows(tmp_path)]
    # means of 1..4, 5..8 and 9..11
    assert found == [(4, 0, 2.5), (4, 1, 25.0), (8, 0, 6.5), (8, 1, 65.0), (11, 0, 10.0), (11, 1, 100.0)]
    assert all(r["actor/one"] == 1.0 for r in rows(tmp_path))


def test_an_agent_without_values_is_not_probed(tmp_path):
    small_run(tmp_path, 5, kind="bc").run()
    assert not any(name.startswith("reach/") for row in rows(tmp_path) for name in row)


def test_model_free_learning_has_no_source_and_the_reach_of_the_data_alone(tmp_path):
    small_run(tmp_path, 5, experience=RealData(make_data(), batch_size=8)).run()
    names = {name for row in rows(tmp_path) for name in row}
    assert {n for n in names if n.startswith("reach/")} == {"reach/q_depth_0", "reach/penalty_depth_0"}
    assert not any(n.startswith("source/") for n in names)


def test_synthetic_rows_are_renewed_when_due_with_the_policy_of_that_moment(tmp_path):
    experience, drawn = make_experience(refresh_every=4), []
    draw = experience.source.draw

    def counting(policy, n, streams):
        drawn.append((trainer.update, n, policy.updates))
        return draw(policy, n, streams)

    experience.source.draw = counting
    trainer = small_run(tmp_path, 13, agent=Counting(), experience=experience, evaluate=None)
    trainer.run()
    assert drawn == [(0, 6, 0), (4, 6, 4), (8, 6, 8), (12, 6, 12)]


@pytest.mark.parametrize("kind", KINDS)
def test_looking_logging_and_saving_never_change_what_is_learned(tmp_path, kind):
    def restless(agent, update):
        torch.rand(3)  # whatever an evaluation draws from elsewhere
        return look(agent, update)

    plans = [
        {"log_every": 100, "eval_every": 100, "checkpoint_every": 100, "evaluate": None},
        {"log_every": 1, "eval_every": 3, "checkpoint_every": 1, "evaluate": restless},
    ]
    trees = []
    for i, plan in enumerate(plans):
        small_run(tmp_path / str(i), 11, kind=kind, **plan).run()
        tree = learned(tmp_path / str(i))
        trees.append({k: v for k, v in tree.items() if not k.startswith(("sums", "refreshed"))})
    assert same(*trees)


def test_same_seed_same_bits_and_another_seed_differs(tmp_path):
    for name, seeds in (("a", (0, 1)), ("b", (0, 1)), ("c", (2, 1))):
        small_run(tmp_path / name, 8, seeds=seeds).run()
    a, b, c = (learned(tmp_path / name) for name in "abc")
    assert same(a, b)
    assert rows(tmp_path / "a") == rows(tmp_path / "b")
    weight = "agent/critics/net.layers.0.weight"
    assert not torch.equal(a[weight][0], c[weight][0])
    assert torch.allclose(a[weight][1], c[weight][1], atol=1e-5)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_is_its_singles(tmp_path, kind):
    seeds = (4, 0, 7)
    small_run(tmp_path / "stack", 17, kind=kind, seeds=seeds).run()
    together, lines = learned(tmp_path / "stack"), rows(tmp_path / "stack")
    for s, seed in enumerate(seeds):
        small_run(tmp_path / str(seed), 17, kind=kind, seeds=(seed,)).run()
        mine = [row for row in lines if row["seed"] == seed]
        for ours, alone in zip(mine, rows(tmp_path / str(seed)), strict=True):
            assert ours.keys() == alone.keys()
            for name, value in alone.items():
                assert ours[name] == (
                    value if value is None else pytest.approx(value, rel=1e-6, abs=1e-12)
                ), name
        for name, value in learned(tmp_path / str(seed)).items():
            stacked = together[name]
            if (value.dim() and not name.endswith("/step")) or name == "experience/synthetic/step":
                stacked = stacked[s : s + 1]
            assert torch.allclose(value.double(), stacked.double(), rtol=1e-6, atol=1e-12), name


def test_a_return_that_is_not_finite_is_null_and_no_reason_to_stop(tmp_path):
    def lost(agent, update):
        return {"eval/return": torch.tensor([1.0, torch.nan])}

    result = small_run(tmp_path, 8, evaluate=lost).run()
    assert result["return"]["last"] == [1.0, None]


def test_an_evaluation_may_report_other_figures(tmp_path):
    result = small_run(tmp_path, 8, evaluate=lambda a, u: {"eval/length": torch.tensor([3, 4])}).run()
    assert result["return"] is None
    assert [r["eval/length"] for r in rows(tmp_path) if "eval/length" in r][:2] == [3.0, 4.0]


def test_no_updates_is_an_evaluation_and_a_checkpoint(tmp_path):
    result = small_run(tmp_path, 0).run()
    assert (result["status"], result["updates"]) == ("finished", 0)
    assert [row["update"] for row in rows(tmp_path)] == [0, 0]


def test_the_bar_shows_the_returns(tmp_path, capsys):
    small_run(
        tmp_path, 2, evaluate=lambda a, u: {"eval/return": torch.tensor([12.3, torch.inf])}, progress=True
    ).run()
    assert "return 12 -" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["eval_every", "log_every", "checkpoint_every"])
def test_an_interval_below_one_is_refused(name):
    with pytest.raises(ConfigError, match=f"{name}=0: an interval is at least 1 update"):
        Schedule(10, **{name: 0})


def test_an_unwritable_folder_is_found_out_before_the_first_update(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    agent = Counting()
    trainer = small_run(tmp_path / "file" / "run", 5, agent=agent)
    with pytest.raises(ConfigError, match="file/run: the run folder cannot be written"):
        trainer.run()
    assert agent.updates == 0


def test_a_trainer_that_is_only_made_touches_nothing(tmp_path):
    small_run(tmp_path, 5).run()
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    for resume in (False, True):
        small_run(tmp_path, 5, resume=resume)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_a_run_on_cuda_saves_and_resumes_bit_for_bit(tmp_path, mode):
    from mbrl.agents import SAC
    from mbrl.run.train import Trainer

    def run(folder, updates, resume=False):
        agent = SAC(3, 2, seeds=(0, 1), num_critics=3, eta=1.0, hidden=(8, 8), device="cuda")
        data = RealData(make_data().to("cuda"), batch_size=8)
        plan = Schedule(updates, eval_every=5, log_every=5, checkpoint_every=5, progress=False)
        options = {"seeds": (0, 1), "dataset": {"id": "x"}, "device": "cuda", "resume": resume}
        Trainer(folder, agent, data, plan, accelerate=mode, **options).run()

    run(tmp_path / "whole", 10)
    run(tmp_path / "parts", 5)
    run(tmp_path / "parts", 10, resume=True)
    assert same(learned(tmp_path / "whole"), learned(tmp_path / "parts"))
