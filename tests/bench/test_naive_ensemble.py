"""The naive ensemble computes what ours does."""

import numpy as np
import pytest
import torch

from mbrl.bench.naive_ensemble import NaiveEnsemble, naive_rollout, numpy_policy
from mbrl.core.seeds import Streams
from mbrl.dynamics import Ensemble
from mbrl.dynamics.epochs import member_loss
from mbrl.dynamics.losses import bound_width
from tests.fakes import random_transitions

DECAY = (1e-2, 2e-2, 3e-2)


@pytest.fixture
def model():
    made = Ensemble(3, 2, seeds=(4,), members=4, elites=3, hidden=(8, 6), weight_decay=DECAY)
    made.elites.copy_(torch.tensor([[2, 0, 3]]))
    made.normaliser.fit(torch.randn(50, 5) * 2 + 1)
    return made


def test_a_training_step_has_our_loss_and_gradients(model):
    naive = NaiveEnsemble(model, logvar_coef=0.05)
    inputs, targets = torch.randn(1, 4, 10, 5), torch.randn(1, 4, 10, 4)
    loss, nll = member_loss(model, inputs, targets, 0.05)
    loss.sum().backward()
    standard = model.normaliser(inputs)[0].numpy()
    expected = naive.loss(standard, targets[0].numpy())
    expected.backward()
    weights = [layer.weight[0] for layer in model.net.layers]
    decay = sum(0.5 * c * w.square().sum() for c, w in zip(DECAY, weights, strict=True))
    width = bound_width(model.logvar_min, model.logvar_max)[0, 0]
    # One pair of bounds for all members there, one a member here; decay in the loss there, in Adam here.
    assert expected.item() == pytest.approx((nll.sum() + 0.05 * width + decay).item(), rel=1e-5)
    for coefficient, layer, weight, bias in zip(
        DECAY, model.net.layers, naive.weights, naive.biases, strict=True
    ):
        ours = layer.weight.grad[0] + coefficient * layer.weight[0]
        assert torch.allclose(ours, weight.grad, rtol=1e-3, atol=1e-6)
        assert torch.allclose(layer.bias.grad[0], bias.grad, rtol=1e-3, atol=1e-6)
    shared = model.logvar_max.grad[0].sum(0) - 3 * 0.05
    assert torch.allclose(shared, naive.high.grad, rtol=1e-3, atol=1e-6)


def test_predictions_of_all_members_agree(model):
    naive, rows = NaiveEnsemble(model), random_transitions(1, 20)
    said = model.predict(rows.obs, rows.action)
    inputs = model.normaliser(torch.cat([rows.obs, rows.action], -1)[:, None])[0, 0].numpy()
    mean, logvar = naive.predict(inputs)
    mean = torch.cat([mean[..., :-1] + rows.obs, mean[..., -1:]], -1)
    assert torch.allclose(mean, said.mean[0], rtol=1e-4, atol=1e-5)
    assert torch.allclose(torch.exp(0.5 * logvar), said.std[0], rtol=1e-4, atol=1e-6)
    each = naive(np.broadcast_to(inputs, (4, *inputs.shape)).copy())
    assert torch.allclose(each[0], naive.predict(inputs)[0], rtol=1e-4, atol=1e-5)


def test_a_step_takes_each_row_from_its_member(model):
    naive, rows = NaiveEnsemble(model), random_transitions(1, 20)
    streams, draws = Streams((4,), "t"), Streams((4,), "t")
    expected = model.step(None, rows.obs, rows.action, streams)
    choice = model.elites[0][draws.randint(3, 20)[0]].numpy()
    noise = np.broadcast_to(draws.randn(20, 4)[0].numpy(), (4, 20, 4))
    next_obs, reward = naive.step(rows.obs[0].numpy(), rows.action[0].numpy(), choice, noise)
    assert np.allclose(next_obs, expected.next_obs[0], rtol=1e-4, atol=1e-5)
    assert np.allclose(reward, expected.reward[0], rtol=1e-4, atol=1e-5)


def test_an_epoch_goes_through_every_batch_and_learns(model):
    naive, rng = NaiveEnsemble(model, lr=1e-2), np.random.default_rng(0)
    inputs = rng.standard_normal((40, 5)).astype(np.float32)
    targets = np.tanh(inputs[:, :4])
    order = np.stack([rng.permutation(40) for _ in range(4)])
    losses = [naive.train_epoch(inputs, targets, order, 16) for _ in range(30)]
    assert [len(epoch) for epoch in losses] == [3] * 30
    assert np.mean(losses[-1]) < 0.5 * np.mean(losses[0])


def test_rollouts_leave_out_what_has_ended(model):
    naive, rng = NaiveEnsemble(model), np.random.default_rng(0)
    obs = np.random.default_rng(1).standard_normal((50, 3)).astype(np.float32)
    act = numpy_policy(lambda x: torch.tanh(x[:, :2]), torch.device("cpu"))
    ended = naive_rollout(naive, act, obs, 3, rng, lambda o, a, n: n[..., 0] > 0.5)
    lost = ended["terminal"]
    alive = 50 - lost[:50].sum()
    assert 0 < lost[:50].sum() < 50
    assert len(ended["obs"]) == 50 + alive + (alive - lost[50 : 50 + alive].sum())
    assert np.array_equal(ended["obs"][50 : 50 + alive], ended["next_obs"][:50][~lost[:50]])
    assert np.allclose(ended["action"], np.tanh(ended["obs"][:, :2]))
    whole = naive_rollout(naive, act, obs, 3, rng)
    assert len(whole["reward"]) == 150
    assert not whole["terminal"].any()
    assert len(naive_rollout(naive, act, obs, 3, rng, lambda o, a, n: n[..., 0] < 9e9)["reward"]) == 50
