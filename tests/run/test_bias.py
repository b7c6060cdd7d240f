"""The overestimate along a run, in a walk whose returns are sums one can write down."""

from dataclasses import replace

import pytest
import torch

from mbrl.conf import compose
from mbrl.core.checkpoint import flatten, load_tree
from mbrl.core.errors import ConfigError
from mbrl.core.log import read_metrics
from mbrl.core.seeds import Streams
from mbrl.core.types import DynamicsStep
from mbrl.run.build import train_from_config
from mbrl.run.build.bias import BiasProbe
from tests.fakes import Towards, Walk, random_transitions

SEEDS = (0, 1)
GAMMA = 0.9


class Right(Towards):
    """Half a step to the right when sampled; its deterministic action, a whole step, is none of the probe's."""

    def act(self, obs, streams=None):
        return torch.tensor([1.0 if streams is None else 0.5, 0.0]).expand(*obs.shape[:-1], 2)

    def q_values(self, obs, action):
        """Critics 10 (s_0 + a_0) and 3 more; of seed 1 twice as much."""
        scale = torch.tensor([1.0, 2.0])[: len(obs)].view(-1, 1, 1)
        return scale * (
            10 * (obs + torch.nn.functional.pad(action, (0, 1)))[..., :1].mT + torch.tensor([[0.0], [3.0]])
        )


class Soft(Right):
    """With an entropy bonus of 7 a step."""

    def act_soft(self, obs, streams):
        return self.act(obs, streams), torch.full(obs.shape[:-1], 7.0)


class Tracked(Walk):
    """A walk whose observation hides where it is: the simulator's state s_0, in its carry, is what pays."""

    def begin(self, obs, sim_state=None):
        return sim_state

    def sim_state(self, carry):
        return carry

    def step(self, carry, obs, action, streams, *, members=False):
        carry = carry + action[..., :1]
        ended = torch.zeros(obs.shape[:-1], dtype=torch.bool)
        return DynamicsStep(carry, torch.zeros_like(obs), carry[..., 0].float(), ended, None)


def at_zero():
    data = random_transitions(20)
    return replace(data, obs=torch.zeros_like(data.obs))


def returns(start, gamma, horizon, bonus=0.0):
    """Steps of 1/2; the reward is -s^2, and the bonus comes with every action but the first."""
    total, s = 0.0, start
    for t in range(horizon):
        s += 0.5
        total += gamma**t * (-(s**2) + (bonus if t else 0.0))
    return total


@pytest.mark.parametrize(("policy", "bonus"), [(Right(), 0.0), (Soft(), 7.0)])
def test_is_the_least_critic_minus_the_soft_return(policy, bonus):
    probe = BiasProbe(Walk(), at_zero(), SEEDS, states=4, depth=3, gamma=GAMMA, horizon=5)
    found = probe(policy, 0)
    assert found.keys() == {f"bias/{n}_depth_{d}" for n in ("q", "mc_value", "overestimate") for d in (0, 3)}
    for depth, place in ((0, 0.0), (3, 1.5)):  # three sampled half steps away
        truth = returns(place, GAMMA, 5, bonus)
        for seed, scale in enumerate((1, 2)):
            q = scale * 10 * (place + 0.5)
            got = [found[f"bias/{n}_depth_{depth}"][seed].item() for n in ("q", "mc_value", "overestimate")]
            assert got == pytest.approx([q, truth, q - truth], rel=1e-6)


def test_rollouts_that_ended_before_the_depth_do_not_count():
    walk = Walk(ends=lambda s: s[..., 0] > 1.2)
    data = at_zero()
    data.obs[:10, 0] = 0.4  # these end on their second half step, the others on their third
    probe = BiasProbe(walk, data, (0,), states=200, depth=2, gamma=GAMMA, horizon=1)
    found = probe(Right(), 0)
    assert found["bias/q_depth_2"].item() == pytest.approx(15.0)  # those from 0 alone
    gone = BiasProbe(walk, data, (0,), states=50, depth=4, gamma=GAMMA, horizon=1)(Right(), 0)
    assert gone["bias/q_depth_4"].isnan().all()
    assert gone["bias/q_depth_0"].isfinite().all()


def test_starts_from_the_simulators_state():
    data = replace(at_zero(), sim_state=torch.full((20, 1), 5.0, dtype=torch.float64))
    found = BiasProbe(Tracked(), data, (0,), states=3, depth=2, gamma=0.5, horizon=2)(Right(), 0)
    assert found["bias/mc_value_depth_0"].item() == pytest.approx(5.5 + 0.5 * 6.0)
    assert found["bias/mc_value_depth_2"].item() == pytest.approx(6.5 + 0.5 * 7.0)


def test_without_a_horizon_looks_at_data_states_alone():
    found = BiasProbe(Walk(), at_zero(), (0,), states=3, depth=0, gamma=GAMMA, horizon=2)(Right(), 0)
    assert found.keys() == {f"bias/{n}_depth_0" for n in ("q", "mc_value", "overestimate")}


def test_a_seed_sees_the_same_alone_and_in_a_stack():
    class Wander(Towards):
        """Towards the origin, noisily."""

        def q_values(self, obs, action):
            return obs.sum(-1).unsqueeze(1)

    data = random_transitions(50)
    both = BiasProbe(Walk(noise=0.3), data, (3, 4), states=8)(Wander(), 10)
    alone = BiasProbe(Walk(noise=0.3), data, (4,), states=8)(Wander(), 10)
    assert all(torch.equal(both[name][1:], alone[name]) for name in alone)
    later = BiasProbe(Walk(noise=0.3), data, (4,), states=8)(Wander(), 11)
    assert torch.equal(later["bias/q_depth_0"], alone["bias/q_depth_0"])  # the same states
    assert not torch.equal(later["bias/mc_value_depth_0"], alone["bias/mc_value_depth_0"])


def test_means_over_the_states_it_picked():
    data = random_transitions(30)
    picked = Streams((7,), "bias.states").randint(30, 6)
    found = BiasProbe(Walk(), data, (7,), states=6, depth=1, horizon=1)(Right(), 0)
    expected = (10 * (data.obs[picked][..., 0] + 0.5)).mean().item()
    assert found["bias/q_depth_0"].item() == pytest.approx(expected, rel=1e-5)


def test_an_agent_without_critics_is_refused():
    with pytest.raises(ConfigError, match="train.bias_states.*agent=bc"):
        compose(["agent=bc", "train.bias_states=4"])
    with pytest.raises(ConfigError, match="train.bias_horizon must be at least 1, got 0"):
        compose(["train.bias_horizon=0"])


def test_measuring_changes_nothing_that_is_learned(tmp_path):
    found = {}
    for states in (0, 3):
        common = [f"dynamics.cache={tmp_path}/cache", "device=cpu", "preset=debug", "train.updates=2"]
        options = [f"out={tmp_path}/{states}", f"train.bias_states={states}", "train.bias_horizon=4"]
        folder = train_from_config(compose([*common, *options]))
        found[states] = flatten(load_tree(folder / "checkpoint")[0]), read_metrics(folder / "metrics.jsonl")
    plain, measured = found[0][0], found[3][0]
    assert plain.keys() == measured.keys()
    assert all(torch.equal(plain[k], measured[k]) for k in plain)
    names = {name for row in found[3][1] for name in row if name.startswith("bias/")}
    assert names == {f"bias/{n}_depth_{d}" for n in ("q", "mc_value", "overestimate") for d in (0, 2)}
    assert not any(name.startswith("bias/") for row in found[0][1] for name in row)
