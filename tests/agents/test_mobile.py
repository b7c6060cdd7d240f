"""MOBILE: its targets, exactly SAC's where there is no disagreement, and SAC where it does not apply."""

import math

import pytest
import torch

from mbrl.agents import MOBILE, SAC
from mbrl.agents.edge import ConstantPenalty
from mbrl.core.checkpoint import flatten
from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.types import Transitions
from tests.agents.mobile_cases import Given, linear, mixed, random_prediction, streams
from tests.fakes import Members, Walk

double = pytest.mark.usefixtures("double")


def agent_and_base(model, **options):
    common = {"seeds": (0, 1), "hidden": (16, 16)}
    return MOBILE(3, 2, model=model, **common, **options), SAC(3, 2, **common)


@double
def test_the_target_is_lowered_on_synthetic_rows_alone():
    agent, base = agent_and_base(Members(), beta=2.0)
    batch = mixed(2, 20, real=5)
    drawn = streams((0, 1))
    expected = base.target(batch, drawn)
    u = agent.uncertainty(batch, drawn)
    assert (u > 0).all()
    target = agent.target(batch, streams((0, 1)))
    assert torch.equal(target[:, :5], expected[:, :5])
    assert torch.allclose(target[:, 5:], expected[:, 5:] - 2.0 * u[:, 5:])
    ended = batch.terminal & (batch.step > 0)
    assert ended.any()
    assert torch.allclose(target[ended], batch.reward[ended] - 2.0 * u[ended])


def test_targets_may_be_negative_unless_they_are_clamped_on_request():
    batch = mixed(2, 20)
    batch = Transitions(**{**vars(batch), "reward": batch.reward - 100.0})
    free, _ = agent_and_base(Members())
    clamped, _ = agent_and_base(Members(), clamp_target=True)
    assert (free.target(batch, streams((0, 1))) < -50).all()
    assert (clamped.target(batch, streams((0, 1))) == 0).all()
    batch = Transitions(**{**vars(batch), "reward": batch.reward + 200.0})
    assert torch.equal(free.target(batch, streams((0, 1))), clamped.target(batch, streams((0, 1))))


def test_the_edge_is_treated_as_in_sac():
    plain, _ = agent_and_base(Members(), gamma=0.9)
    treated, _ = agent_and_base(Members(), gamma=0.9, edge=ConstantPenalty(4.0, horizon=3))
    batch = mixed(2, 20)
    difference = treated.target(batch, streams((0, 1))) - plain.target(batch, streams((0, 1)))
    where = (batch.step == 3) & ~batch.terminal
    assert where.any()
    assert torch.allclose(difference, torch.where(where, -3.6, 0.0), atol=1e-5)


def same_after_one_update(agent, base, batch) -> bool:
    metrics, expected = (a.update(batch, streams((0, 1), "train")) for a in (agent, base))
    assert all(torch.equal(metrics[name], expected[name]) for name in expected)
    a, b = flatten(agent.state_dict()), flatten(base.state_dict())
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_without_weight_it_is_sac_bit_for_bit():
    agent, base = agent_and_base(Members(), beta=0.0)
    assert same_after_one_update(agent, base, mixed(2, 20))
    agent, base = agent_and_base(Members(), beta=0.1)
    with pytest.raises(AssertionError):
        same_after_one_update(agent, base, mixed(2, 20))


PERFECT = {
    "one member": Members(1, elites=(0,), noise=0.0),
    "one elite of several, and noise": Members(3, elites=(2,), noise=0.5),
    "members that agree": Members(5, elites=(4, 1, 0, 2), shift=0.0, noise=0.0),
    "stepped, not asked": Walk(),
}


@pytest.mark.parametrize("model", PERFECT.values(), ids=PERFECT)
@pytest.mark.parametrize("rows", [7, 257])
def test_a_perfect_model_costs_exactly_nothing(model, rows):
    agent = MOBILE(3, 2, seeds=(0, 1), num_critics=3, hidden=(64, 64), model=model, beta=1e6)
    u = agent.uncertainty(mixed(2, rows), streams((0, 1)))
    assert u.shape == (2, rows)
    assert (u == 0).all()


def test_rounding_by_place_is_no_disagreement(monkeypatch):
    """As a device may do it that multiplies the edge of a matrix by another kernel than its middle."""
    agent = MOBILE(3, 2, seeds=(0, 1), hidden=(8,), model=PERFECT["members that agree"])
    exact = agent.targets.forward
    place = 1e-7 * torch.arange(4 * 10 * 6)
    monkeypatch.setattr(agent.targets, "forward", lambda obs, action: exact(obs, action) + place)
    assert (agent.uncertainty(mixed(2, 6), streams((0, 1))) == 0).all()


def test_with_a_perfect_model_it_is_sac_bit_for_bit():
    agent, base = agent_and_base(PERFECT["members that agree"], beta=10.0)
    assert same_after_one_update(agent, base, mixed(2, 20))
    assert agent.update(mixed(2, 20), streams((0, 1)))["critic/uncertainty"].tolist() == [0.0, 0.0]


class Stateful(Walk):
    """A model that needs the simulator's state to begin, as true dynamics do."""

    def begin(self, obs, sim_state=None):
        assert torch.equal(sim_state[..., :3].float(), obs)
        return 0


def test_a_model_that_is_stepped_is_given_the_states_of_the_rows():
    batch = mixed(2, 5)
    batch = Transitions(**{**vars(batch), "sim_state": torch.cat([batch.obs, batch.obs], -1).double()})
    u = MOBILE(3, 2, seeds=(0, 1), hidden=(8,), model=Stateful(disagreement=1.0)).uncertainty(
        batch, streams((0, 1))
    )
    assert (u > 0).all()


def test_a_model_without_predict_is_stepped():
    model = Walk(disagreement=0.5)
    agent = linear(MOBILE(3, 2, hidden=(), model=model), [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    assert agent.uncertainty(mixed(1, 4), streams())[0].tolist() == pytest.approx(
        [1.5 / math.sqrt(2)] * 4, rel=1e-4
    )
    assert model.asked_for_members == [True]


@pytest.mark.parametrize("members", [1, 2])
def test_a_model_that_says_it_has_one_member_is_not_stepped(members):
    model = Walk(disagreement=0.5)
    model.members = members
    u = MOBILE(3, 2, seeds=(0, 1), hidden=(8,), model=model).uncertainty(mixed(2, 4), streams((0, 1)))
    assert u.shape == (2, 4)
    assert (u > 0).all() == (members > 1)
    assert (u == 0).all() == (members == 1)
    assert len(model.asked_for_members) == members - 1


def test_metrics_tell_the_mean_over_synthetic_rows():
    agent, _ = agent_and_base(Members())
    batch = mixed(2, 20, real=5)
    noise = streams((0, 1))
    SAC.target(agent, batch, noise)
    expected = agent.uncertainty(batch, noise)[:, 5:].mean(-1)
    target = agent.target(batch, streams((0, 1)))
    _, info = agent.critic_loss(batch, target, streams((0, 1)))
    assert torch.allclose(info["critic/uncertainty"], expected)
    agent.target(mixed(2, 4, real=4), streams((0, 1)))
    assert agent.critic_loss(batch, target, streams((0, 1)))[1]["critic/uncertainty"].tolist() == [0.0, 0.0]


def test_a_prediction_that_is_not_finite_is_not_hidden():
    prediction = random_prediction()
    prediction.mean[0, 2, 3, 0] = math.nan
    u = MOBILE(3, 2, seeds=(0, 1), hidden=(8,), model=Given(prediction)).uncertainty(
        mixed(2, 6), streams((0, 1))
    )
    assert u.isnan().nonzero().tolist() == [[0, 3]]


def test_without_a_model_it_acts_and_loads_but_does_not_learn():
    trained, _ = agent_and_base(Members())
    trained.update(mixed(2, 8), streams((0, 1)))
    agent, _ = agent_and_base(None)
    agent.load_state_dict(trained.state_dict())
    obs = torch.randn(2, 5, 3)
    assert torch.equal(agent.act(obs), trained.act(obs))
    before = {k: v.clone() for k, v in flatten(agent.state_dict()).items()}
    with pytest.raises(ConfigError, match=r"construct it with model=\.\.\."):
        agent.update(mixed(2, 8), streams((0, 1)))
    assert all(torch.equal(v, before[k]) for k, v in flatten(agent.state_dict()).items())


class Silent(Walk):
    def step(self, *args, members=False, **kwargs):
        return super().step(*args, **kwargs)


def test_a_model_that_tells_nothing_of_its_members_is_refused():
    agent = MOBILE(3, 2, hidden=(8,), model=Silent())
    with pytest.raises(MismatchError, match="Silent gives no prediction of its members"):
        agent.uncertainty(mixed(1, 4), streams())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": -1.0}, "beta=-1.0, samples=10: must be at least 0 and 1"),
        ({"samples": 0}, "beta=1.0, samples=0"),
        ({"model": "ensemble"}, "model: str has neither predict nor begin and step"),
        ({"num_critics": 0}, "num_critics=0"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        MOBILE(3, 2, **options)
