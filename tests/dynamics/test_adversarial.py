"""RAMBO's model against a plain reimplementation, in closed form, and against its own laws."""

import copy
import re

import pytest
import torch

from mbrl.agents import SAC
from mbrl.core.errors import ConfigError, DivergenceError, MismatchError
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions, ValuedPolicy
from mbrl.dynamics import Ensemble, fit
from mbrl.dynamics.adversarial import AdversarialModel
from mbrl.dynamics.losses import squared_error
from tests.dynamics.naive_rambo import SEEDS, LinearValues, adversary, ends, model, naive_phase, rows
from tests.fakes import random_transitions

double = pytest.mark.usefixtures("double")


@double
@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_a_phase_equals_a_plain_reimplementation(weight):
    ensemble = model(termination=ends)
    plain, ours = copy.deepcopy(ensemble), adversary(ensemble, (5,), adv_weight=weight, logvar_coef=0.05)
    ours.train(LinearValues(), Streams((5,), "phase"))
    alive = naive_phase(plain, rows(), LinearValues(), Streams((5,), "phase"), weight)
    for name, p in plain.networks().items():
        assert torch.allclose(ours.dynamics.networks()[name], p, rtol=1e-9, atol=1e-12), name
    assert ours.metrics()["model/alive"].item() == pytest.approx(alive)
    assert 0.3 < alive < 0.95


@double
@pytest.mark.parametrize("shared", [True, False])
def test_a_stack_is_its_singles(shared):
    ensemble = model((0,) if shared else SEEDS, termination=ends)
    agent, streams = SAC(3, 2, seeds=SEEDS, hidden=(8,)), Streams(SEEDS, "phase")
    together = adversary(ensemble, SEEDS, adv_weight=0.5)
    for _ in range(2):
        together.train(agent, streams)
    for s, seed in enumerate(SEEDS):
        alone = adversary(ensemble if shared else model((seed,), termination=ends), (seed,), adv_weight=0.5)
        single, own = SAC(3, 2, seeds=(seed,), hidden=(8,)), Streams((seed,), "phase")
        for _ in range(2):
            alone.train(single, own)
        for name, p in alone.dynamics.networks().items():
            assert torch.allclose(together.dynamics.networks()[name][s], p[0], rtol=1e-8, atol=1e-12), name
        for name, value in alone.metrics().items():
            assert together.metrics()[name][s].item() == pytest.approx(value.item(), rel=1e-8), name
    weights = together.dynamics.net.layers[0].weight
    assert not torch.allclose(weights[0], weights[1])


def test_the_model_it_was_made_from_stays_as_it_is():
    ensemble = model()
    before = {k: v.clone() for k, v in ensemble.state_dict().items()}
    ours = adversary(ensemble, (0,), adv_weight=1.0)
    ours.train(LinearValues(), Streams((0,), "phase"))
    assert all(torch.equal(v, before[k]) for k, v in ensemble.state_dict().items())
    assert ours.metrics()["model/change"] > 0
    assert torch.equal(ours.dynamics.elites, ensemble.elites)
    assert torch.equal(ours.dynamics.normaliser.mean, ensemble.normaliser.mean)


def expected_value(ensemble: Ensemble, obs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    """E[ r + gamma V(s') ] for V(s) = 2 s_0: linear, so the elites' means say it exactly."""
    mean = ensemble.predict(obs, action).mean[:, [2, 0]].mean(1)
    return mean[..., -1] + 0.9 * 2 * mean[..., 0]


class OneValue(LinearValues):
    """V(s) = 2 s_0."""

    def values(self, obs: torch.Tensor) -> torch.Tensor:
        return 2 * obs[..., :1].movedim(-1, -2)


@pytest.mark.parametrize("total", [False, True])
def test_one_step_lowers_the_value_of_the_models_own_rollouts(total):
    ensemble, agent = model(hidden=(), weight_decay=(0.0,)), OneValue()
    options = {"updates": 1, "lr": 1e-3, "batch_size": 2048, "adv_weight": 100.0, "sum_over_batch": total}
    ours, batch = adversary(ensemble, (0,), **options), rows(500)
    obs = batch.obs.unsqueeze(0)
    action = agent.act(obs, Streams((0,), "look"))
    before = expected_value(ours.dynamics, obs, action)
    ours.train(agent, Streams((0,), "phase"))
    after = expected_value(ours.dynamics, obs, action)
    # Adam's first step is lr long in every entry: both biases in E[ r ] + 1.8 E[ s_0' ] fall by it.
    assert (after - before).mean().item() == pytest.approx(-2.8e-3, rel=0.2)


def test_a_sum_over_the_batch_is_a_mean_with_so_many_times_the_weight():
    results = []
    for options in ({"adv_weight": 0.1, "sum_over_batch": True}, {"adv_weight": 1.6}, {"adv_weight": 0.1}):
        ours = adversary(model(), (0,), **options)
        ours.train(LinearValues(), Streams((0,), "phase"))
        results.append(ours.dynamics.net.layers[0].weight)
    assert torch.allclose(results[0], results[1], atol=1e-4)
    assert not torch.allclose(results[0], results[2], atol=1e-2)


def test_without_weight_the_values_play_no_part():
    results = []
    for agent in (LinearValues(), OneValue()):
        ours = adversary(model(), (0,), adv_weight=0.0)
        ours.train(agent, Streams((0,), "phase"))
        results.append(ours.dynamics.networks())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def test_the_supervised_term_keeps_the_fit():
    g = torch.Generator().manual_seed(0)
    base = random_transitions(600)
    shift = torch.cat([base.action, base.action[:, :1]], dim=-1) * 0.5
    next_obs = base.obs + shift + 0.05 * torch.randn(600, 3, generator=g)
    data = Transitions(
        base.obs, base.action, base.obs[:, 0], next_obs, base.terminal, base.timeout, base.step
    )
    ensemble = Ensemble(3, 2, members=3, elites=2, hidden=(32,), weight_decay=(0.0, 0.0))
    fit(ensemble, data, max_epochs=30, progress=False)
    errors, values = {}, {}
    agent = OneValue()
    obs, action = data.obs.unsqueeze(0), data.action.unsqueeze(0)
    target = torch.cat([data.next_obs, data.reward.unsqueeze(-1)], dim=-1).expand(1, 3, 600, 4)
    for weight in (0.0, 1.0, 100.0):
        given = {"updates": 200, "lr": 1e-3, "batch_size": 64, "horizon": 2, "progress": False}
        ours = AdversarialModel(ensemble, data, seeds=(0,), adv_weight=weight, **given)
        ours.train(agent, Streams((0,), "phase"))
        errors[weight] = squared_error(ours.dynamics.predict(obs, action).mean, target).mean().item()
        values[weight] = expected_value(ours.dynamics, obs, action).mean().item()
    assert errors[1.0] < 4 * errors[0.0]
    assert errors[100.0] > 20 * errors[0.0]
    assert values[100.0] + 0.5 < values[1.0] < values[0.0]


def test_rollouts_end_at_terminals_and_stand_void_at_their_start():
    agent = LinearValues()
    ours = adversary(model(termination=ends), (0,), updates=3)
    ours.train(agent, Streams((0,), "phase"))
    start, second, third = agent.asked
    stopped = (second == start).all(-1)
    assert stopped.any()
    assert not stopped.all()
    assert (third[stopped] == start[stopped]).all()
    first = 1 - stopped.double().mean()
    last = 1 - (third == start).all(-1).double().mean()
    # the share alive in steps 1, 2, 3, of which the figure is the mean
    assert last < first
    assert ours.metrics()["model/alive"].item() == pytest.approx((1 + first.item() + last.item()) / 3)


def test_rows_void_from_the_second_step_on_leave_supervised_training():
    over = lambda obs, action, next_obs: torch.ones(obs.shape[:-1], dtype=torch.bool)  # noqa: E731
    figures = []
    for weight in (0.0, 5.0):
        ours = adversary(model(termination=over), (0,), adv_weight=weight, updates=1)
        streams = Streams((0,), "phase")
        rollouts = ours._begin(streams)
        rollouts, _ = ours._step(LinearValues(), rollouts, streams)
        assert not rollouts.alive.any()
        _, seen = ours._step(LinearValues(), rollouts, streams)
        figures.append(
            dict(zip(("adversarial", "supervised", "advantage", "alive"), seen[0].tolist(), strict=True))
        )
    for seen in figures:
        assert (seen["adversarial"], seen["advantage"], seen["alive"]) == (0.0, 0.0, 0.0)


def test_a_saved_state_continues_bit_for_bit():
    agent, streams = SAC(3, 2, seeds=SEEDS, hidden=(8,)), Streams(SEEDS, "phase")
    ours = adversary(model(termination=ends), SEEDS, adv_weight=0.5)
    assert (ours.metrics(), ours.state_dict()["optimiser"]) == ({}, {})
    ours.train(agent, streams)
    state = copy.deepcopy(ours.state_dict())
    resumed, again = adversary(model(termination=ends), SEEDS, adv_weight=0.5), Streams(SEEDS, "phase")
    inside = resumed.dynamics
    resumed.load_state_dict(state)
    again.load_state_dict(streams.state_dict())
    assert resumed.dynamics is inside
    assert all(
        torch.equal(a, b) for a, b in zip(ours.metrics().values(), resumed.metrics().values(), strict=True)
    )
    ours.train(agent, streams)
    resumed.train(agent, again)
    for name, p in ours.dynamics.networks().items():
        assert torch.equal(resumed.dynamics.networks()[name], p), name
    assert all(
        torch.equal(a, b) for a, b in zip(ours.metrics().values(), resumed.metrics().values(), strict=True)
    )
    assert ours.done == resumed.done == 16


class Lost(LinearValues):
    """Its second seed's values are NaN from the fifth look on."""

    def values(self, obs: torch.Tensor) -> torch.Tensor:
        found = super().values(obs)
        found[1] += torch.nan if len(self.asked) >= 5 else 0.0
        return found


def test_a_loss_that_is_not_finite_is_noted_with_seed_and_step_and_stays_with_its_seed():
    ours, sound = (adversary(model(), SEEDS, adv_weight=1.0) for _ in range(2))
    ours.train(Lost(), Streams(SEEDS, "phase"))
    (place, text), *others = ours.diverged.items()
    assert (place, others) == (1, [])
    assert re.match(r"seed \d+: the adversarial model diverged at its step 5 \(.*nan", text)
    sound.train(LinearValues(), Streams(SEEDS, "phase"))
    assert sound.diverged == {}
    lost, kept = ours.dynamics.networks(), sound.dynamics.networks()
    healthy = [place for place in range(len(SEEDS)) if place != 1]
    assert not all(p[1].isfinite().all() for p in lost.values())
    assert all(torch.equal(lost[name][healthy], kept[name][healthy]) for name in kept)


def test_the_next_phase_begins_with_a_clean_slate():
    ours = adversary(model(), SEEDS, adv_weight=1.0)
    before = ours.state_dict()["networks"]
    before = {name: p.clone() for name, p in before.items()}
    ours.train(Lost(), Streams(SEEDS, "phase"))
    ours.load_state_dict({"networks": before, "done": torch.tensor(0)})
    ours.train(LinearValues(), Streams(SEEDS, "phase"))
    assert ours.diverged == {}


def test_parameters_that_are_not_finite_are_found_even_after_the_last_loss():
    ours = adversary(model(), SEEDS, updates=1, lr=float("inf"))
    with pytest.raises(
        DivergenceError, match="seed 4: .* at its step 1 .*parameters are not finite"
    ) as caught:
        ours.train(LinearValues(), Streams(SEEDS, "phase"))
    assert list(caught.value.members) == list(range(len(SEEDS)))


def test_no_updates_leave_the_fit():
    ours = adversary(model(), SEEDS, updates=0)
    ours.train(LinearValues(), Streams(SEEDS, "phase"))
    assert ours.metrics() == {}
    assert all(torch.equal(p, ours.fitted[name]) for name, p in ours.dynamics.networks().items())


def test_sac_is_a_policy_with_values_and_bc_is_none():
    from mbrl.agents import BC

    assert isinstance(SAC(3, 2, hidden=(8,)), ValuedPolicy)
    assert not isinstance(BC(3, 2, hidden=(8,)), ValuedPolicy)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "horizon=0: must be at least 1"),
        ({"batch_size": 0}, "batch_size=0: must be at least 1"),
        ({"adv_weight": -1.0}, "adv_weight=-1.0"),
        ({"updates": -1}, "updates=-1"),
        ({"lr": 0.0}, "lr=0.0"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        adversary(model(), (0,), **options)


def test_data_of_other_dims_is_refused():
    with pytest.raises(MismatchError, match="model takes flat rows of obs 3"):
        AdversarialModel(model(), rows(obs_dim=4), seeds=(0,))


@pytest.mark.usefixtures("cuda")
def test_on_cuda_it_trains_and_resumes():
    agent = SAC(3, 2, seeds=SEEDS, hidden=(8,), device="cuda")
    data = rows().to("cuda")
    made = [
        AdversarialModel(model().to("cuda"), data, seeds=SEEDS, updates=6, horizon=3, progress=False)
        for _ in range(2)
    ]
    streams = [Streams(SEEDS, "phase", "cuda") for _ in range(2)]
    made[0].train(agent, streams[0])
    made[1].load_state_dict(made[0].state_dict())
    streams[1].load_state_dict(streams[0].state_dict())
    for ours, own in zip(made, streams, strict=True):
        ours.train(agent, own)
    for name, p in made[0].dynamics.networks().items():
        assert torch.allclose(made[1].dynamics.networks()[name], p, atol=1e-6), name
