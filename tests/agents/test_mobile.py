"""MOBILE: its penalty by hand and by loops, exactly zero without disagreement, SAC where it does not apply."""

import math

import pytest
import torch

from mbrl.agents import MOBILE, SAC
from mbrl.agents.edge import ConstantPenalty
from mbrl.agents.mobile import inconsistency
from mbrl.core.checkpoint import flatten
from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.seeds import Streams
from mbrl.core.types import Prediction, Transitions
from tests.fakes import Members, Walk, random_transitions

double = pytest.mark.usefixtures("double")


def mixed(*lead: int, real: int = 2, **options) -> Transitions:
    """Real rows first, then synthetic ones of steps 1, 2, 3, 1, .."""
    batch = random_transitions(*lead, **options)
    rows = torch.arange(lead[-1])
    step = torch.where(rows < real, 0, 1 + (rows - real) % 3).expand(lead).clone()
    batch = Transitions(**{**vars(batch), "step": step})
    dtype = torch.get_default_dtype()
    return batch.map(lambda x: x.to(dtype) if x.is_floating_point() else x)


def streams(seeds=(0,), purpose="t"):
    return Streams(seeds, purpose)


class Given:
    """Whatever prediction it is given."""

    def __init__(self, prediction: Prediction) -> None:
        self.prediction = prediction

    def predict(self, obs, action):
        return self.prediction


def random_prediction(seeds=2, members=4, rows=6, dim=4, elites=((2, 0, 3), (1, 3, 0)), scale=0.5):
    g = torch.Generator().manual_seed(5)
    mean = torch.randn(seeds, members, rows, dim, generator=g)
    std = scale * torch.rand(seeds, members, rows, dim, generator=g)
    return Prediction(mean, std, torch.tensor(elites))


def test_inconsistency_by_hand():
    # two members, two samples: means 1 and 4, whose unbiased deviation is 3 / sqrt(2); then means 2 and 2
    values = torch.tensor([[[0.0, 5.0], [2.0, -1.0]], [[3.0, 2.0], [5.0, 2.0]]])
    assert inconsistency(values).tolist() == pytest.approx([3 / math.sqrt(2), 0.0])
    # three members with one sample each: 1, 2, 6 have mean 3 and variance (4 + 1 + 9) / 2
    assert inconsistency(torch.tensor([[[1.0]], [[2.0]], [[6.0]]])).item() == pytest.approx(math.sqrt(7))


def test_inconsistency_is_a_loop_over_members_and_samples():
    values = torch.randn(2, 5, 10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    got = inconsistency(values)
    for s in range(2):
        for b in range(3):
            means = [sum(values[s, i, m, b].item() for m in range(10)) / 10 for i in range(5)]
            centre = sum(means) / 5
            expected = math.sqrt(sum((x - centre) ** 2 for x in means) / 4)
            assert got[s, b].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("members", [1, 2, 3, 5, 7])
def test_equal_members_are_exactly_consistent_whatever_rounding_does(members):
    one = 100 * torch.randn(2, 1, 10, 500, generator=torch.Generator().manual_seed(1))
    assert (inconsistency(one.expand(-1, members, -1, -1)) == 0).all()


def test_one_member_agrees_with_itself():
    assert inconsistency(torch.tensor([[[1.0], [5.0]]])).tolist() == [0.0]


def linear(agent: SAC, weight: list[list[float]]) -> SAC:
    """Target critics that are linear in the observation: Q'_i(s, a) = weight_i . s; and others for acting."""
    with torch.no_grad():
        layer = agent.targets.net.layers[0]
        layer.weight.zero_()
        layer.bias.zero_()
        for i, row in enumerate(weight):
            layer.weight[:, i, : len(row), 0] = torch.tensor(row)
    return agent


def test_uncertainty_by_hand_for_linear_values():
    # elites 2 and 0 expect s + 0.6 and s; Q' = s_1 + s_2 + s_3 is the smaller critic everywhere by a constant
    agent = linear(MOBILE(3, 2, hidden=(), model=Members(noise=0.0)), [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    with torch.no_grad():
        agent.targets.net.layers[0].bias[:, 1] = 7.0
    u = agent.uncertainty(mixed(1, 8), streams())
    assert u.shape == (1, 8)
    # values differ by 3 * 0.6 = 1.8, and the unbiased deviation of two numbers is their distance / sqrt(2)
    assert u[0].tolist() == pytest.approx([1.8 / math.sqrt(2)] * 8, rel=1e-4)


@double
def test_uncertainty_is_a_loop_over_rows_elites_and_samples():
    prediction, rows, samples = random_prediction(), 6, 4
    agent = MOBILE(3, 2, seeds=(3, 8), num_critics=3, hidden=(16,), model=Given(prediction), samples=samples)
    with torch.no_grad():
        for p in agent.critics.parameters():  # the targets alone are asked
            p.add_(1.0)
    u = agent.uncertainty(mixed(2, rows), streams((3, 8)))
    again = streams((3, 8))
    noise = again.randn(3, samples, rows, 3).double()
    action_noise = again.randn(1, samples, rows, 2).double()
    for s in range(2):
        for b in range(rows):
            means = []
            for k, i in enumerate(prediction.elites[s].tolist()):
                total = 0.0
                for m in range(samples):
                    mean, std = prediction.mean[s, i, b, :3].double(), prediction.std[s, i, b, :3].double()
                    next_obs = (mean + std * noise[s, k, m, b]).expand(2, 1, 3)
                    action, _ = agent.actor.sample(next_obs, action_noise[s, 0, m, b].expand(2, 1, 2))
                    total += min(agent.targets(next_obs, action)[s, :, 0].tolist())
                means.append(total / samples)
            assert u[s, b].item() == pytest.approx(torch.tensor(means).std().item(), rel=1e-9)


@pytest.mark.parametrize("change", ["reward", "member outside the elites"])
def test_what_the_penalty_does_not_read(change):
    first, second = random_prediction(), random_prediction()
    if change == "reward":
        second.mean[..., -1] += 3.0
        second.std[..., -1] += 3.0
    else:
        second.mean[0, 1] += 3.0
        second.mean[1, 2] += 3.0
    first, second = (
        MOBILE(3, 2, seeds=(0, 1), hidden=(8,), model=Given(p)).uncertainty(mixed(2, 6), streams((0, 1)))
        for p in (first, second)
    )
    assert torch.equal(first, second)
    assert (first > 0).all()


def test_each_seed_has_its_own_elites():
    same = random_prediction(elites=((2, 0, 3), (2, 0, 3)))
    other = same._replace(elites=torch.tensor([[2, 0, 3], [1, 0, 3]]))
    a, b = (
        MOBILE(3, 2, seeds=(0, 1), hidden=(8,), model=Given(p)).uncertainty(mixed(2, 6), streams((0, 1)))
        for p in (same, other)
    )
    assert torch.equal(a[0], b[0])
    assert (a[1] != b[1]).all()


def test_more_samples_leave_less_noise():
    """Members that agree on a noisy outcome differ by the noise of their sample means alone, 1 / sqrt(M)."""
    batch = mixed(1, 400, real=0)
    few, many = (
        linear(MOBILE(3, 2, hidden=(), model=Members(shift=0.0), samples=m), [[1.0], [1.0]])
        .uncertainty(batch, streams())
        .square()
        .mean()
        .item()
        for m in (1, 100)
    )
    # Q' = s_1 has noise 0.1: variance 0.01 / M
    assert few == pytest.approx(0.01, rel=0.2)
    assert many == pytest.approx(0.0001, rel=0.2)


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
