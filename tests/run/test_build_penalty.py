"""Penalties from a configuration: numbers taken from the data, and whole runs under the debug preset."""

import pytest
import torch

from mbrl.conf import all_choices, compose
from mbrl.core.checkpoint import flatten, load_tree
from mbrl.core.errors import ConfigError
from mbrl.core.log import read_metrics
from mbrl.core.seeds import Streams
from mbrl.core.types import Prediction
from mbrl.dynamics import Ensemble
from mbrl.dynamics.penalties import MoreL, discrepancy_on
from mbrl.run.build import train_from_config
from mbrl.run.build.penalty import PENALTIES, penalty_from_config
from mbrl.run.rollout import no_penalty, rollout
from tests.fakes import Towards, Walk, random_transitions

NAMES = sorted(set(all_choices()["penalty"]) - {"none"})
DATA = random_transitions(50)


def ensemble(*seeds: int) -> Ensemble:
    sizes = {"members": 4, "elites": 2, "hidden": (8,), "weight_decay": (0.0, 0.0)}
    return Ensemble(3, 2, seeds=seeds, **sizes)


def built(*overrides: str, dynamics=None):
    return penalty_from_config(compose(overrides), DATA, dynamics or Walk(disagreement=0.5))


def test_no_penalty_is_the_one_that_needs_no_members():
    assert built() is no_penalty


@pytest.mark.parametrize(
    ("name", "expected", "alone"),
    # Two members, 0.5 apart in each of three observations and the reward, each with a std of 0.25; and one member's
    # observations alone.
    [
        ("mopo", 0.25 * 4**0.5, 0.25 * 3**0.5),
        ("mopo_aleatoric", 0.25 * 4**0.5, 0.25 * 3**0.5),
        ("mopo_pairwise", 0.25 * 3**0.5, 0.0),
        ("mopo_std", 0.25, 0.0),
    ],
)
def test_a_reward_penalty_is_the_named_measure_times_the_coefficient(name, expected, alone):
    mean = torch.zeros(1, 2, 1, 4)
    mean[:, 1] = 0.5
    prediction = Prediction(mean, torch.full_like(mean, 0.25), torch.tensor([[1]]))
    for counted, u in ((), expected), (("penalty.dims=obs", "penalty.members=elites"), alone):
        penalty = built(f"penalty={name}", "penalty.coefficient=2", *counted)
        reward, terminal = penalty(torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.bool), prediction)
        assert reward.item() == pytest.approx(1 - 2 * u)
        assert not terminal.item()


def test_morels_numbers_come_from_the_data(capsys):
    penalty = built("penalty=morel", "penalty.coefficient=3", "penalty.offset=-30")
    assert isinstance(penalty, MoreL)
    assert penalty.threshold.tolist() == [pytest.approx(3 * 0.75**0.5, abs=1e-5)]
    assert -penalty.kappa == pytest.approx(DATA.reward.min().item() - 30)
    said = capsys.readouterr().out
    assert "largest discrepancy on the data 0.866" in said
    assert f"reward {-penalty.kappa:.4g}" in said
    wider = built("penalty=morel", "penalty.dims=obs_reward")
    assert wider.threshold.tolist() == [pytest.approx(1.0, abs=1e-5)]


def test_morels_numbers_as_given_need_no_look_at_the_data(capsys):
    class Untouchable(Walk):
        def step(self, *args, **kwargs):
            raise AssertionError("asked")

    penalty = built("penalty=morel", "penalty.threshold=0.5", "penalty.kappa=7", dynamics=Untouchable())
    assert (penalty.threshold, penalty.kappa) == (0.5, 7.0)
    assert "largest" not in capsys.readouterr().out
    prediction = Walk(disagreement=1.0)._prediction(torch.zeros(1, 1, 3), torch.zeros(1, 1))
    reward, terminal = penalty(torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.bool), prediction)
    assert (reward.item(), terminal.item()) == (-7.0, True)


def test_the_threshold_is_a_seeds_own_where_its_model_is():
    both = built("penalty=morel", "seeds=[3,5]", dynamics=ensemble(3, 5)).threshold
    singles = [built("penalty=morel", f"seeds=[{s}]", dynamics=ensemble(s)).threshold for s in (3, 5)]
    assert both.shape == (2,)
    torch.testing.assert_close(both, torch.cat(singles))
    assert both[0] != both[1]


def test_a_model_shared_by_seeds_is_looked_at_once():
    shared = ensemble(0)
    found = built("penalty=morel", "seeds=[3,5]", dynamics=shared).threshold
    assert found.shape == (1,)
    assert found.item() == pytest.approx(discrepancy_on(shared, DATA).max().item())


@pytest.mark.parametrize("name", NAMES)
def test_under_a_perfect_model_every_option_is_the_base_procedure(name):
    model, starts = Walk(ends=lambda s: s[..., 0] > 1), random_transitions(2, 20)
    penalty = built(f"penalty={name}", "seeds=[0,1]", dynamics=model)
    rows, alive = rollout(model, Towards(2.0), starts, 3, Streams((0, 1), "r"), penalty)
    base, base_alive = rollout(model, Towards(2.0), starts, 3, Streams((0, 1), "r"))
    assert torch.equal(alive, base_alive)
    assert torch.equal(rows.reward, base.reward)
    assert torch.equal(rows.terminal, base.terminal)


def test_an_unknown_name_is_refused():
    config = compose([])
    config.penalty.name = "mopo_stdd"
    with pytest.raises(ConfigError, match="unknown penalty.name 'mopo_stdd'; did you mean 'mopo_std'"):
        penalty_from_config(config, DATA, Walk())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """run(model, *overrides): a run under the debug preset on the sample, its metrics and what it learned."""
    place = tmp_path_factory.mktemp("runs")
    common = ["preset=debug", "device=cpu", "agent=sac", "seeds=[0,4]", f"out={place / 'run'}"]
    models = {"learned": [f"dynamics.cache={place / 'cache'}"], "true": ["dynamics=mujoco"]}

    def train(model, *overrides):
        folder = train_from_config(compose([*common, *models[model], *overrides]))
        metrics, (tree, _) = read_metrics(folder / "metrics.jsonl"), load_tree(folder / "checkpoint")
        return metrics, flatten(tree["agent"])

    return train


@pytest.fixture(scope="module")
def bases(run):
    return {model: run(model) for model in ("learned", "true")}


OPTIONS = pytest.mark.parametrize("name", sorted(PENALTIES.keys() - {"none"}))


@OPTIONS
def test_a_run_end_to_end(name, run, bases):
    coefficient = 0.1 if name == "morel" else 10
    metrics, learned = run("learned", f"penalty={name}", f"penalty.coefficient={coefficient}")
    before, base = bases["learned"]
    assert not any("source/penalty_mean" in row for row in before)
    seen = [row for row in metrics if "source/penalty_mean" in row]
    assert {row["seed"] for row in seen} == {0, 4}
    for row in seen:
        assert row["source/penalty_max"] >= row["source/penalty_mean"] > 0
        assert (row["source/penalty_ended"] > 0) == (name == "morel")
    assert any(not torch.equal(learned[k], base[k]) for k in base)


@OPTIONS
def test_under_the_true_dynamics_a_run_is_the_base_procedure_bit_for_bit(name, run, bases):
    metrics, learned = run("true", f"penalty={name}", "penalty.coefficient=10")
    _, base = bases["true"]
    assert all(torch.equal(learned[k], base[k]) for k in base)
    seen = [row for row in metrics if "source/penalty_mean" in row]
    assert seen
    for row in seen:
        assert [row[f"source/penalty_{what}"] for what in ("mean", "max", "ended")] == [0, 0, 0]
