"""Mixtures against their formula, worked out from the parts."""

import numpy as np
import pytest
import torch

from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.seeds import Streams
from mbrl.core.types import DynamicsStep, EnvSpec, Prediction, Tracing
from mbrl.dynamics.ensemble import Ensemble
from mbrl.dynamics.interpolated import Interpolated, mix
from mbrl.dynamics.termination import never, termination_for
from mbrl.dynamics.true_dynamics import TrueDynamics
from mbrl.dynamics.uncertainty import MEASURES
from tests.dynamics.trajectories import record

SEEDS, ROWS, STEPS = (0, 1), 8, 4
HOPPER = EnvSpec("Hopper-v4")
SIZES = {"members": 3, "elites": 2, "hidden": (8,), "weight_decay": (0, 0), "logvar_init": (-10.0, -8.0)}


@pytest.fixture(scope="module")
def truth():
    return TrueDynamics(HOPPER, threads=1)


@pytest.fixture(scope="module")
def starts():
    """Some about to fall, which ends at an angle of 0.2, and some upright."""
    path = record(HOPPER, 120)
    rows = np.flatnonzero(~path.terminal)
    rows = rows[np.argsort(-np.abs(path.next_state[rows, 2]))][::7][: len(SEEDS) * ROWS]
    shape = len(SEEDS), ROWS, -1
    return (
        torch.from_numpy(path.obs[rows]).float().view(shape),
        torch.from_numpy(path.next_state[rows]).view(shape),
    )


def ensemble(seed=0, *, termination=never, **sizes):
    return Ensemble(11, 3, seeds=(seed,), termination=termination, **SIZES | sizes)


def roll(model, starts, *, members=False, observe=lambda *_: None):
    """Steps under drawn actions; observe(carry, obs, action, step) sees each of them."""
    streams, draws = Streams(SEEDS, "model"), Streams(SEEDS, "actions")
    obs, carry, out = starts[0], model.begin(*starts), []
    for _ in range(STEPS):
        action = 2 * draws.rand(ROWS, 3) - 1
        out.append(model.step(carry, obs, action, streams, members=members))
        observe(carry, obs, action, out[-1])
        carry, obs = out[-1].carry, out[-1].next_obs
    return out


@pytest.mark.parametrize("members", [False, True])
def test_weight_0_is_the_learned_model_bit_for_bit(truth, starts, members):
    learned = ensemble(termination=termination_for(HOPPER))
    mixed = roll(Interpolated(learned, truth, 0.0, ensemble(9)), starts, members=members)
    for a, b in zip(mixed, roll(learned, starts, members=members), strict=True):
        for x, y in zip(a[1:4], b[1:4], strict=True):
            assert torch.equal(x, y)
        for x, y in zip(a.prediction or (), b.prediction or (), strict=True):
            assert torch.equal(x, y)


@pytest.mark.parametrize("members", [False, True])
def test_weight_1_is_the_truth_bit_for_bit(truth, starts, members):
    mixed = roll(Interpolated(ensemble(), truth, 1.0), starts, members=members)
    true = roll(truth, starts, members=members)
    assert any(s.terminal.any() for s in true)
    for a, b in zip(mixed, true, strict=True):
        for x, y in zip(a[1:4], b[1:4], strict=True):
            assert torch.equal(x, y)
        np.testing.assert_array_equal(a.carry.truth.state, b.carry.state)
        np.testing.assert_array_equal(a.carry.truth.done, b.carry.done)
        if members:
            assert torch.equal(a.prediction.mean, b.prediction.mean.expand(-1, 3, -1, -1))
            assert not a.prediction.std.any()
            for measure in MEASURES.values():
                assert torch.equal(measure(a.prediction), torch.zeros(2, ROWS))


@pytest.mark.parametrize("weight", [0.3, 0.9])
def test_between_them_every_step_is_mixed_from_the_same_place(truth, starts, weight):
    learned, streams = ensemble(), Streams(SEEDS, "model")

    def check(carry, obs, action, step):
        alone = learned.step(None, obs, action, streams, members=True)
        state, shown, paid, _ = truth.simulate(carry.truth.state, action)
        alive = torch.from_numpy(~carry.truth.done)
        shown, paid = torch.from_numpy(shown).float(), torch.from_numpy(paid).float()
        want = (1 - weight) * alone.next_obs + weight * shown
        torch.testing.assert_close(step.next_obs[alive], want[alive])
        want_paid = (1 - weight) * alone.reward + weight * paid
        torch.testing.assert_close(step.reward[alive], want_paid[alive])
        mean = (1 - weight) * alone.prediction.mean + weight * torch.cat([shown, paid[..., None]], -1)[
            :, None
        ]
        rows = alive[:, None].expand(-1, 3, -1)
        torch.testing.assert_close(step.prediction.mean[rows], mean[rows])
        torch.testing.assert_close(step.prediction.std, (1 - weight) * alone.prediction.std)
        assert torch.equal(step.prediction.elites, alone.prediction.elites)
        # x, which no observation shows, is the truth's; the rest is what the mixture shows.
        moved, kept = step.carry.truth.state, alive.numpy()
        np.testing.assert_array_equal(moved[kept][:, 0], state[kept][:, 0])
        inside = (step.next_obs[..., 5:].abs() < 10).all(-1) & alive
        assert inside.any()
        shows = torch.from_numpy(moved[..., 1:])[inside].float()
        torch.testing.assert_close(shows, step.next_obs[inside], rtol=1e-5, atol=1e-5)
        truth.begin(step.next_obs, truth.sim_state(step.carry.truth))  # would not take other states

    model = Interpolated(learned, truth, weight)
    assert isinstance(model, Tracing)
    roll(model, starts, members=True, observe=check)


@pytest.mark.parametrize("weight", [-0.25, -1.0])
def test_below_0_it_goes_towards_an_untrained_network(truth, starts, weight):
    learned, untrained, streams = ensemble(0), ensemble(5), Streams(SEEDS, "model")
    w = -weight

    def check(carry, obs, action, step):
        a, b = (m.step(None, obs, action, streams, members=True) for m in (learned, untrained))
        torch.testing.assert_close(step.next_obs, (1 - w) * a.next_obs + w * b.next_obs)
        torch.testing.assert_close(step.reward, (1 - w) * a.reward + w * b.reward)
        for x, y, z in zip(step.prediction[:2], a.prediction[:2], b.prediction[:2], strict=True):
            torch.testing.assert_close(x, (1 - w) * y + w * z)
        assert torch.equal(step.prediction.elites, a.prediction.elites)
        truth.begin(step.next_obs, truth.sim_state(step.carry.truth))

    roll(Interpolated(learned, truth, weight, untrained), starts, members=True, observe=check)


class Says:
    """A learned model that always says the same next_obs, with reward 0."""

    members = 2

    def __init__(self, next_obs, action_dim, termination=never):
        self.next_obs, self.termination = torch.as_tensor(next_obs, dtype=torch.float32), termination
        self.obs_dim, self.action_dim = len(next_obs), action_dim

    def begin(self, obs, sim_state=None):
        return None

    def step(self, carry, obs, action, streams, *, members=False):
        next_obs = self.next_obs.expand_as(obs)
        reward = torch.zeros(obs.shape[:-1])
        mean = torch.cat([next_obs, reward[..., None]], dim=-1)[:, None].expand(-1, 2, -1, -1)
        prediction = Prediction(mean, torch.ones_like(mean), torch.zeros(1, 1, dtype=torch.int64))
        terminal = self.termination(obs, action, next_obs)
        return DynamicsStep(None, next_obs, reward, terminal, prediction if members else None)


STANDING = torch.tensor([1.25, *[0.0] * 10]).view(1, 1, 11)
STILL = torch.zeros(1, 1, 3)


@pytest.mark.parametrize(("weight", "terminal"), [(0.1, True), (0.3, True), (0.5, False), (1.0, False)])
def test_above_0_it_ends_by_the_environments_rule_at_the_mixture(truth, weight, terminal):
    """A learned height of 0.3 beside a true 1.2497: 0.7 is passed at w = 0.421."""
    model = Interpolated(Says([0.3, *[0.0] * 10], 3), truth, weight)
    step = model.step(model.begin(STANDING), STANDING, STILL, Streams((0,), "x"))
    assert step.next_obs[0, 0, 0].item() == pytest.approx(0.3 + weight * 0.9497, abs=1e-4)
    assert step.terminal.item() is terminal
    model.learned.next_obs = STANDING.flatten()  # what has ended does not rise again
    again = model.step(step.carry, step.next_obs, STILL, Streams((0,), "x"))
    assert again.next_obs[0, 0, 0] > 0.7
    assert again.terminal.item() is terminal


@pytest.mark.parametrize("weight", [-0.5, 0.0])
def test_up_to_0_it_ends_by_the_learned_models_rule(truth, weight):
    fallen, high = [0.3, *[0.0] * 10], [2.0, *[0.0] * 10]

    def below_1(obs, action, next_obs):
        return next_obs[..., 0] < 1.0

    model = Interpolated(Says(fallen, 3, below_1), truth, weight, Says(high, 3))
    step = model.step(model.begin(STANDING), STANDING, STILL, Streams((0,), "x"))
    assert step.next_obs[0, 0, 0].item() == pytest.approx(0.3 - weight * 1.7)
    assert step.terminal.item() is (weight == 0.0)


def test_neither_end_is_touched_by_a_nan_at_the_other(truth):
    lost = [float("nan")] * 11
    model = Interpolated(Says(lost, 3), truth, 1.0)
    found = model.step(model.begin(STANDING), STANDING, STILL, Streams((0,), "x"))
    true = truth.step(truth.begin(STANDING), STANDING, STILL, Streams((0,), "x"))
    assert torch.equal(found.next_obs, true.next_obs)
    half = Interpolated(Says(lost, 3), truth, 0.5)
    broken = half.step(half.begin(STANDING), STANDING, STILL, Streams((0,), "x"))
    assert broken.next_obs.isnan().all()
    assert broken.terminal.item()
    below = Interpolated(Says(STANDING.flatten().tolist(), 3), truth, -1.0, Says(lost, 3))
    assert below.step(below.begin(STANDING), STANDING, STILL, Streams((0,), "x")).terminal.item()
    a, b = torch.tensor([1.0]), torch.tensor([torch.nan])
    assert torch.equal(mix(a, b, 0.0), a)
    assert torch.equal(mix(b, a, 1.0), a)


def test_a_tip_moves_with_its_poles():
    """InvertedDoublePendulum ends by its tip's height: 0.6 (cos a + cos(a + b)), moved with the mixture."""
    truth = TrueDynamics(EnvSpec("InvertedDoublePendulum-v5"), threads=1)
    upright = torch.tensor([0.0, 0, 0, 1, 1, 0, 0, 0, 0]).view(1, 1, 9)
    a = 1.2
    leaning = [0.0, np.sin(a), 0, np.cos(a), 1, 0, 0, 0, 0]
    still = torch.zeros(1, 1, 1)
    for weight, half in ((1e-6, True), (0.7, False)):
        model = Interpolated(Says(leaning, 1), truth, weight)
        step = model.step(model.begin(upright), upright, still, Streams((0,), "x"))
        angle = np.arctan2((1 - weight) * np.sin(a), (1 - weight) * np.cos(a) + weight)
        assert step.carry.truth.inner[0, 0, 2] == pytest.approx(1.2 * np.cos(angle), abs=1e-3)
        assert step.carry.truth.state[0, 0, 1] == pytest.approx(angle, abs=1e-3)
        assert step.terminal.item() is half


def test_impossible_mixtures(truth):
    learned = ensemble()
    for weight in (1.01, -1.5, float("nan")):
        with pytest.raises(ConfigError, match=r"weight=.*: from -1 \(untrained\)"):
            Interpolated(learned, truth, weight)
    with pytest.raises(ConfigError, match="weight=-0.5 mixes in an untrained ensemble"):
        Interpolated(learned, truth, -0.5)
    with pytest.raises(MismatchError, match="truth has obs of 11 .* the learned model 4 and 3"):
        Interpolated(Ensemble(4, 3, **SIZES), truth, 0.5)
    with pytest.raises(MismatchError, match="untrained has obs of 11 and actions of 2"):
        Interpolated(learned, truth, -0.5, Ensemble(11, 2, **SIZES))
    with pytest.raises(MismatchError, match="untrained has 4 members, the learned model 3"):
        Interpolated(learned, truth, -0.5, ensemble(members=4))
