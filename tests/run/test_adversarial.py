"""The adversarial source: when its model phase comes, what a run logs of it, and that parts of a run are one."""

import pytest
import torch

from mbrl.agents import BC
from mbrl.core.errors import ConfigError, DivergenceError
from mbrl.core.seeds import Streams
from mbrl.core.types import Perishable, Reporting, Stateful
from mbrl.dynamics import Ensemble
from mbrl.dynamics.adversarial import AdversarialModel
from mbrl.run.adversarial import AdversarialRollouts
from mbrl.run.experience import MixedData
from mbrl.run.sources import ModelRollouts
from tests.fakes import Walk
from tests.run.small_run import SEEDS, learned, make_agent, make_data, rows, same, small_run


class Sparring:
    """An adversary that counts, and notes how many draws came before each of its phases."""

    def __init__(self) -> None:
        self.before: list[int] = []
        self.draws = 0
        self.diverged: dict[int, str] = {}

    def train(self, agent, streams):
        self.before.append(self.draws)
        streams.randn(1)

    def metrics(self):
        return {"model/phases": torch.full((2,), float(len(self.before)))}

    def state_dict(self):
        return {"phases": torch.tensor(len(self.before))}

    def load_state_dict(self, state):
        self.before = [-1] * int(state["phases"])


def sparring(every: int) -> tuple[AdversarialRollouts, Sparring]:
    adversary = Sparring()
    return AdversarialRollouts(
        ModelRollouts(Walk(), make_data(), horizon=3), adversary, every=every
    ), adversary


@pytest.mark.parametrize(
    ("every", "expected"), [(1, [1, 2, 3, 4, 5, 6]), (2, [2, 4, 6]), (3, [3, 6]), (9, [])]
)
def test_the_model_is_trained_before_every_so_many_draws_but_never_before_the_first(every, expected):
    source, adversary = sparring(every)
    agent, streams = make_agent(), Streams(SEEDS, "draw")
    for i in range(7):
        adversary.draws = i
        found, alive = source.draw(agent, 4, streams)
        assert (len(found), alive.shape) == (12, (2, 12))
    assert adversary.before == expected
    assert source.metrics()["model/phases"].tolist() == [len(expected)] * 2


def test_draws_are_those_of_the_source_within():
    source, _ = sparring(2)
    assert source.horizon == 3
    assert isinstance(source, Stateful)
    assert isinstance(source, Reporting)
    found, alive = source.draw(make_agent(), 4, Streams(SEEDS, "draw"))
    expected, same_alive = source.rollouts.draw(make_agent(), 4, Streams(SEEDS, "draw"))
    assert torch.equal(found.next_obs, expected.next_obs)
    assert torch.equal(alive, same_alive)


def test_a_loaded_source_keeps_the_beat():
    source, adversary = sparring(2)
    for _ in range(3):
        source.draw(make_agent(), 4, Streams(SEEDS, "draw"))
    other, later = sparring(2)
    other.load_state_dict(source.state_dict())
    assert len(later.before) == len(adversary.before) == 1
    other.draw(make_agent(), 4, Streams(SEEDS, "draw"))
    assert len(later.before) == 1
    other.draw(make_agent(), 4, Streams(SEEDS, "draw"))
    assert len(later.before) == 2


def test_a_policy_without_critics_is_refused_before_the_first_draw():
    source, _ = sparring(2)
    with pytest.raises(ConfigError, match=r"lowers an agent's values, and BC has none.*q_values"):
        source.draw(BC(3, 2, seeds=SEEDS, hidden=(8,)), 4, Streams(SEEDS, "draw"))


def test_fewer_than_one_draw_between_phases_is_refused():
    with pytest.raises(ConfigError, match="every=0"):
        sparring(0)


def rambo(seeds=SEEDS, every: int = 2, **options) -> MixedData:
    """Synthetic rows from a small ensemble that is trained against the agent before every second refresh."""
    data = make_data()
    sizes = {"members": 3, "elites": 2, "hidden": (8,), "weight_decay": (1e-3, 1e-3)}
    ensemble = Ensemble(3, 2, termination=lambda obs, action, next_obs: next_obs[..., 0] > 2, **sizes)
    given = {"horizon": 3, "updates": 5, "batch_size": 8, "adv_weight": 0.5, "progress": False}
    model = AdversarialModel(ensemble, data, seeds=seeds, **{**given, **options})
    source = AdversarialRollouts(ModelRollouts(model.dynamics, data, horizon=3), model, every=every)
    return MixedData(data, source, batch_size=8, real_ratio=0.5, starts=6, retain=2, refresh_every=3)


def run(folder, updates, seeds=SEEDS, *, resume=False, **options):
    return small_run(
        folder, updates, kind="sac", seeds=seeds, experience=rambo(seeds, **options), resume=resume
    )


@pytest.mark.parametrize("first", [1, 7, 10, 14])
def test_two_parts_are_one_run(tmp_path, first):
    # refreshes at 0, 3, 6, ..; the model phase before those at 6, 12 and 18; saves every 3, looks every 5 and 7
    run(tmp_path / "parts", first).run()
    run(tmp_path / "parts", 21, resume=True).run()
    run(tmp_path / "whole", 21).run()
    parts, whole = learned(tmp_path / "parts"), learned(tmp_path / "whole")
    assert same(*({k: v for k, v in tree.items() if not k.startswith("sums")} for tree in (parts, whole)))
    assert any(k.startswith("experience/source/adversary/optimiser") for k in whole)
    assert whole["experience/source/draws"].item() == 7
    shown = [[r for r in rows(tmp_path / name) if "model/change" in r] for name in ("parts", "whole")]
    assert [r for r in shown[0] if r["update"] != first] == [r for r in shown[1] if r["update"] != first]


def test_the_adversary_is_logged_from_its_first_phase_on(tmp_path):
    run(tmp_path, 14).run()
    found = [r for r in rows(tmp_path) if "critic/loss" in r]
    names = {
        f"model/{name}" for name in ("adversarial_loss", "supervised_loss", "advantage", "alive", "change")
    }
    assert [names <= r.keys() for r in found] == [r["update"] > 6 for r in found]
    assert all(r["model/change"] > 0 for r in found if r["update"] > 6)


@pytest.mark.usefixtures("double")
def test_a_stack_is_its_singles(tmp_path):
    seeds = (4, 0, 7)
    run(tmp_path / "stack", 14, seeds).run()
    together = learned(tmp_path / "stack")
    for s, seed in enumerate(seeds):
        run(tmp_path / str(seed), 14, (seed,)).run()
        alone = learned(tmp_path / str(seed))
        for name in alone:
            if name.startswith(("experience/source/adversary/networks", "agent/critics")):
                assert torch.allclose(together[name][s], alone[name][0], rtol=1e-6, atol=1e-10), name


def test_models_that_all_diverge_end_the_run_before_they_are_used(tmp_path):
    experience = rambo(lr=float("inf"))
    drawn, draw = [], experience.source.rollouts.draw
    experience.source.rollouts.draw = lambda *arguments: drawn.append(1) or draw(*arguments)
    trainer = small_run(tmp_path, 21, kind="sac", experience=experience)
    with pytest.raises(
        DivergenceError, match=r"seed 0: the adversarial model diverged at its step 2.*; seed 1: "
    ):
        trainer.run()
    assert len(drawn) == 2  # the refreshes at updates 0 and 3; the phase before the third found it out
    assert (tmp_path / "result.json").read_text().count('"status": "diverged"') == 1
    kept = learned(tmp_path)
    assert all(v.isfinite().all() for k, v in kept.items() if "adversary/networks" in k)


def test_the_loss_of_a_model_is_reported_in_the_draw_that_lost_it_alone():
    source, adversary = sparring(2)
    agent, streams = make_agent(), Streams(SEEDS, "draw")
    adversary.diverged = {1: "seed 1: its model is gone"}
    said = [source.draw(agent, 4, streams) and dict(source.diverged) for _ in range(5)]
    assert said == [{}, {}, adversary.diverged, {}, adversary.diverged]
    assert isinstance(source, Perishable)


@torch.no_grad()
def break_model(experience, at):
    """Make one parameter of seed 1's model NaN in its `at`-th phase."""
    model, phases = experience.source.adversary, []
    train = model.train

    def breaking(agent, streams):
        phases.append(1)
        if len(phases) == at:
            model.dynamics.net.layers[0].weight.data[1, 0, 0, 0] = torch.nan
        train(agent, streams)

    model.train = breaking
    return experience


def test_a_seed_whose_model_diverges_is_frozen_with_a_sound_model_and_the_others_go_on(tmp_path):
    # phases before the refreshes at 6, 12 and 18; saves every 3
    broken = break_model(rambo(), 2)
    result = small_run(tmp_path / "a", 21, kind="sac", experience=broken).run()
    run(tmp_path / "b", 21).run()
    assert result["status"] == "finished"
    assert list(result["diverged"]) == ["1"]
    assert result["diverged"]["1"]["update"] == 12
    assert "seed 1: the adversarial model diverged at its step 6 (" in result["diverged"]["1"]["diagnosis"]
    mine = [[r for r in rows(tmp_path / name) if r["seed"] == 0] for name in "ab"]
    assert mine[0] == mine[1]
    ours, theirs = learned(tmp_path / "a"), learned(tmp_path / "b")
    for name in theirs:
        if theirs[name].dim() and len(theirs[name]) == 2:
            assert torch.equal(ours[name][0], theirs[name][0]), name
    assert all(v.isfinite().all() for k, v in ours.items() if k.startswith(("agent", "experience/source")))
    run(tmp_path / "c", 12).run()
    sound = learned(tmp_path / "c")
    for name in theirs:
        if name.startswith(("agent/", "experience/source/adversary/")) and theirs[name].dim():
            assert torch.equal(ours[name][1], sound[name][1]), name
