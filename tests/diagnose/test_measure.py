"""Everything at once, on worlds in closed form: which parts there are, and what the others are missing."""

from dataclasses import replace

import pytest
import torch

from mbrl.agents import BC
from mbrl.agents.sac import SAC
from mbrl.core.errors import DivergenceError
from mbrl.diagnose.as_json import as_json, take_seeds
from mbrl.diagnose.measure import NO_CRITICS, NO_ROLLOUTS, Subject, measure
from mbrl.run.sources import ModelRollouts
from tests.diagnose.worlds import SEEDS, Chain, Clipped, Promises, at
from tests.fakes import Walk, random_transitions

K = 2
DATA = random_transitions(80)
PARTS = {
    "values",
    "targets",
    "share",
    "bias",
    "origin",
    "one_step",
    "paired",
    "correlation",
    "scatter",
    "nearness",
}


def sac(seeds=SEEDS, num_critics=3):
    return SAC(3, 2, seeds=seeds, num_critics=num_critics, hidden=(8, 8))


def subject(agent=None, model=None, truth=None, seeds=SEEDS, data=DATA, **options):
    model = model or Walk(noise=0.1, disagreement=0.2)
    source = ModelRollouts(model, data, horizon=K)
    found = Subject(
        agent or sac(seeds), data, tuple(seeds), source, model, K, truth or Walk(), real_share=0.25
    )
    return replace(found, **options)


def run(found, starts=12):
    return measure(found, starts=starts, mc_horizon=6, progress=False)


def test_a_learned_model_with_a_known_truth_has_every_part():
    found = run(subject())
    assert found.missing == {}
    assert all(getattr(found, name) is not None for name in PARTS)
    assert not found.exact
    # the members are 0.2 apart in every entry, wherever they are asked
    assert found.correlation["max_discrepancy"].reason[0].startswith("the measure is constant")
    assert found.share["synthetic"].tolist() == pytest.approx([0.5, 0.5])
    real = 0.25 * float((~DATA.terminal).double().mean())
    assert found.share["batch"].tolist() == pytest.approx([0.75 / 2 / (0.75 + real)] * 2)
    assert found.bias.overestimate["min_soft"].mean.shape == (2, K + 1)
    assert found.targets.mean.shape == (2, K)


def test_in_the_true_dynamics_there_is_no_model_error():
    world = Walk()
    found = run(subject(model=world, truth=world))
    assert found.exact
    assert set(found.missing) == {"one_step", "paired"}
    assert "true dynamics" in found.missing["paired"]
    assert found.origin.model.mean.tolist() == [[0.0], [0.0]]


def test_without_a_truth():
    found = run(replace(subject(), truth=None, no_truth="no simulator: none known"))
    assert set(found.missing) == {"bias", "origin", "one_step", "paired"}
    assert set(found.missing.values()) == {"no simulator: none known"}
    assert found.nearness is not None


def test_without_rollouts():
    bare = Subject(sac(), DATA, SEEDS, truth=Walk())
    found = run(bare)
    assert found.horizon == 0
    assert set(found.values) == {"data"}
    assert found.bias.overestimate["min_soft"].mean.shape == (2, 1)
    assert {found.missing[name] for name in PARTS - {"values", "bias"}} == {NO_ROLLOUTS}
    assert run(replace(bare, truth=None, no_truth="why")).missing["bias"] == "why"


def test_without_critics():
    found = run(subject(BC(3, 2, seeds=SEEDS, hidden=(8,))))
    missing = {name for name, why in found.missing.items() if why == NO_CRITICS}
    assert missing == {"values", "targets", "share", "bias", "origin", "correlation", "scatter"}
    assert found.one_step is not None


def test_looking_is_repeatable_and_changes_nothing():
    agent = sac()
    before = {k: v.clone() for k, v in agent.critics.state_dict().items()}
    first, second = run(subject(agent)), run(subject(agent))
    assert as_json(first) == as_json(second)
    assert torch.equal(first.scatter["spread"], second.scatter["spread"])
    assert all(torch.equal(v, before[k]) for k, v in agent.critics.state_dict().items())


def test_a_seed_alone_equals_its_slice_of_a_stack():
    both, alone = run(subject(seeds=(3, 8))), run(subject(seeds=(8,)))
    picked = take_seeds(both, [1])
    for name in ("bias", "origin", "nearness", "one_step", "paired", "targets", "share"):
        a, b = as_json(getattr(picked, name)), as_json(getattr(alone, name))
        assert a.keys() == b.keys()
        assert flat(a) == pytest.approx(flat(b), rel=1e-4, abs=1e-5)


def flat(x):
    if isinstance(x, dict):
        return [n for value in x.values() for n in flat(value)]
    return [n for value in x for n in flat(value)] if isinstance(x, list) else [x]


def test_the_agents_own_uncertainty_is_one_more_measure():
    class Doubtful(SAC):
        def uncertainty(self, batch, streams):
            return self.q_values(batch.obs, batch.action).std(dim=-2, correction=0) * 2 + 1

    found = run(subject(Doubtful(3, 2, seeds=SEEDS, num_critics=3, hidden=(8, 8))))
    assert found.correlation["doubtful"].pearson.tolist() == pytest.approx([1, 1], rel=1e-4)


def test_rollouts_start_at_allowed_rows_only():
    """Of states 0 and 50 only the first may be started from; the truth could not be put into the other."""
    data, truth, model = at(torch.tensor([0.0, 50.0]).repeat(20).unsqueeze(-1)), Clipped(), Chain()
    free = Subject(Promises(), data, SEEDS, ModelRollouts(model, data, horizon=K), model, K, truth)
    assert (run(free).bias.left_out[:, 0] > 0).all()
    rows = truth.reconstructable(data.obs).nonzero().squeeze(-1)
    assert run(replace(free, allowed=rows)).bias.left_out.sum() == 0


def test_no_start_with_a_known_state():
    data = at(torch.full((30, 1), 50.0))
    found = run(
        Subject(Promises(), data, SEEDS, ModelRollouts(Chain(), data, horizon=K), Chain(), K, Clipped())
    )
    assert found.missing["paired"] == "no start has a known simulator state"
    assert found.one_step.left_out.tolist() == [[12, 12]] * 2
    assert found.bias.left_out.tolist() == [[12, 12, 12]] * 2


def test_more_starts_than_data():
    found = run(subject(data=random_transitions(10)), starts=12)
    assert "take fewer starts" in found.missing["nearness"]


def test_networks_that_are_not_finite_are_named_by_seed():
    agent = sac(seeds=(4, 9))
    with torch.no_grad():
        for p in agent.critics.parameters():
            p[1] = torch.nan
    with pytest.raises(DivergenceError, match=r"seeds \[9\] .* take an earlier checkpoint"):
        run(subject(agent, seeds=(4, 9)))
