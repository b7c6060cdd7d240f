import dataclasses
import math

import pytest
import torch

from mbrl.core.errors import ConfigError, DataError, DivergenceError, MismatchError
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions
from mbrl.dynamics.ensemble import Ensemble
from mbrl.dynamics.epochs import Epochs
from mbrl.dynamics.fit import fit, regression_pairs
from tests.fakes import random_transitions

QUICK = {"batch_size": 32, "max_epochs": 2, "progress": False}


def small(seeds=(0,), **changes):
    return Ensemble(
        3,
        2,
        seeds=seeds,
        **({"members": 3, "elites": 2, "hidden": (16,), "weight_decay": (1e-3, 1e-2)} | changes),
    )


def linear_world(n=2000, noise=0.05, key=0):
    """next_obs = obs + B action + noise, reward = sum of obs."""
    t = random_transitions(n, seed=key)
    g = torch.Generator().manual_seed(key + 1)
    b = torch.tensor([[1.0, 0.0, 0.5], [0.0, -1.0, 0.5]])
    next_obs = t.obs + t.action @ b + noise * torch.randn(n, 3, generator=g)
    return dataclasses.replace(t, next_obs=next_obs, reward=t.obs.sum(-1))


def weights(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def naive_member(model, e, inputs, targets, batches, *, lr, coef):
    """Member e trained alone in plain PyTorch, the loss spelled out with weight decay as a term of it."""
    w = [layer.weight[0, e].detach().clone().requires_grad_() for layer in model.net.layers]
    b = [layer.bias[0, e].detach().clone().requires_grad_() for layer in model.net.layers]
    low, high = (x[0, e].detach().clone().requires_grad_() for x in (model.logvar_min, model.logvar_max))
    adam = torch.optim.Adam([*w, *b, low, high], lr=lr)
    for rows in batches:
        x = (inputs[rows] - model.normaliser.mean[0, 0]) / model.normaliser.std[0, 0]
        hidden = torch.nn.functional.silu(x @ w[0] + b[0])
        mean, logvar = (hidden @ w[1] + b[1]).chunk(2, -1)
        logvar = high - torch.nn.functional.softplus(high - logvar)
        logvar = low + torch.nn.functional.softplus(logvar - low)
        loss = ((mean - targets[rows]) ** 2 / logvar.exp()).mean() + logvar.mean()
        loss = loss + coef * (high.sum() - low.sum())
        loss = loss + sum(0.5 * d * (p**2).sum() for d, p in zip(model.weight_decay, w, strict=True))
        adam.zero_grad()
        loss.backward()
        adam.step()
    return [*w, *b, low, high]


def test_steps_equal_a_naive_loop_over_members():
    model, data = small().double(), linear_world(300)
    inputs, targets = (x.double() for x in regression_pairs(model, data))
    model.normaliser.fit(inputs)
    train = torch.arange(300).unsqueeze(0)
    epochs = Epochs(model, inputs, targets, train, batch_size=32, lr=1e-2, logvar_coef=0.01)
    order = epochs.orders.permutation(300)[:, :160]
    picked = [epochs.bootstrap[0, e, order[0]].split(32) for e in range(3)]
    naive = [naive_member(model, e, inputs, targets, picked[e], lr=1e-2, coef=0.01) for e in range(3)]
    for batch in epochs.batches(order):
        epochs.step(*batch)
    got = [*(x.weight for x in model.net.layers), *(x.bias for x in model.net.layers)]
    for i, stacked in enumerate([*got, model.logvar_min, model.logvar_max]):
        for e in range(3):
            torch.testing.assert_close(stacked[0, e], naive[e][i], rtol=1e-6, atol=1e-9)


def test_a_stack_of_seeds_equals_single_fits():
    data = linear_world(400)
    options = QUICK | {"max_epochs": 12, "patience": 1, "improvement": 0.3, "lr": 1e-2}
    together = small(seeds=(0, 1, 2))
    report = fit(together, data, **options)
    assert len(set(report.epochs)) > 1  # some seeds must stop before others for this to say much
    for s in range(3):
        alone = small(seeds=(s,))
        one = fit(alone, data, **options)
        assert one.epochs[0] == report.epochs[s]
        assert one.elites[0] == report.elites[s]
        for name, x in alone.state_dict().items():
            torch.testing.assert_close(together.state_dict()[name][s], x[0], rtol=1e-6, atol=1e-6)


def test_same_seed_same_bits_and_another_seed_others():
    data, first, second, other = linear_world(300), small(), small(), small(seeds=(1,))
    for model in (first, second, other):
        fit(model, data, **QUICK)
    a, b, c = weights(first), weights(second), weights(other)
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["net.layers.0.weight"], c["net.layers.0.weight"])


def test_learns_a_linear_world_down_to_its_noise():
    model, data = small(hidden=(32,), weight_decay=(0, 0)), linear_world(4000, noise=0.1)
    report = fit(model, data, lr=5e-3, max_epochs=40, progress=False)
    fresh = linear_world(500, noise=0.0, key=5)
    mean, std, _ = model.predict(fresh.obs[None], fresh.action[None])
    error = (mean[0, ..., :3] - fresh.next_obs).square().mean().sqrt()
    assert error < 0.05
    assert std[..., :3].mean().item() == pytest.approx(0.1, rel=0.2)
    assert std[..., 3].mean() < 0.05
    assert report.holdout_mse[0][0] < 0.02


def test_holds_out_rows_and_standardises_by_the_rest(monkeypatch):
    seen = {}
    original = Epochs.__init__

    def spy(self, ensemble, inputs, targets, train, **options):
        original(self, ensemble, inputs, targets, train, **options)
        seen.update(train=train, bootstrap=self.bootstrap, inputs=inputs)

    monkeypatch.setattr(Epochs, "__init__", spy)
    model = small(seeds=(0, 1))
    report = fit(model, linear_world(300), **QUICK)
    assert (report.train_rows, report.holdout_rows) == (240, 60)
    for s in range(2):
        train = set(seen["train"][s].tolist())
        assert len(train) == 240
        assert set(seen["bootstrap"][s].flatten().tolist()) <= train
        torch.testing.assert_close(model.normaliser.mean[s, 0, 0], seen["inputs"][seen["train"][s]].mean(0))
        # With replacement, each member its own: about 1 - 1/e of the rows appear.
        for e in range(3):
            assert len(set(seen["bootstrap"][s, e].tolist())) / 240 == pytest.approx(1 - 1 / math.e, abs=0.1)
        assert not torch.equal(seen["bootstrap"][s, 0], seen["bootstrap"][s, 1])


def test_hold_out_is_capped():
    assert fit(small(), linear_world(300), holdout_max=7, **QUICK).holdout_rows == 7


def test_every_epoch_walks_the_whole_bootstrap_in_a_new_order():
    model = small()
    inputs, targets = regression_pairs(model, linear_world(100))
    epochs = Epochs(model, inputs, targets, torch.arange(100)[None], batch_size=32, lr=1e-3, logvar_coef=0.01)
    a, b = (epochs.orders.permutation(100)[0].tolist() for _ in range(2))
    assert sorted(a) == sorted(b) == list(range(100))
    assert a != b


def test_reports_every_epoch_and_the_kept_errors():
    infos = []
    report = fit(small(seeds=(0, 1)), linear_world(300), on_epoch=infos.append, **QUICK)
    assert [i["epoch"] for i in infos] == [1, 2]
    assert {k: tuple(v.shape) for k, v in infos[0].items() if k != "epoch"} == {
        "holdout_mse": (2, 3),
        "train_nll": (2, 3),
        "running": (2,),
    }
    best = torch.stack([i["holdout_mse"] for i in infos]).amin(0)
    torch.testing.assert_close(torch.tensor(report.holdout_mse), best, rtol=0.0101, atol=0)
    assert report.epochs == [2, 2]
    assert report.steps == 2 * math.ceil(240 / 32)
    for s in range(2):
        ranked = sorted(range(3), key=lambda e: report.holdout_mse[s][e])
        assert report.elites[s] == ranked[:2]
    assert "hold-out MSE" in report.summary()


def test_stops_by_itself():
    report = fit(small(), linear_world(300), batch_size=32, patience=2, improvement=0.5, progress=False)
    assert report.epochs[0] < 30


def test_interrupt_leaves_the_best_snapshots():
    model = small()

    def stop(info):
        if info["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, linear_world(300), on_epoch=stop, **QUICK | {"max_epochs": 9})
    whole = small()
    fit(whole, linear_world(300), **QUICK)
    for name, x in whole.state_dict().items():
        assert torch.equal(x, model.state_dict()[name]), name


def test_divergence_names_epoch_member_and_seed_and_leaves_the_best_snapshots():
    model = small(seeds=(8,))
    data = linear_world(300)
    data.reward[7] = 3e38  # finite, but its square is not
    before = weights(model)
    with pytest.raises(DivergenceError, match=r"member \d of seed 8 is (inf|nan) in epoch 1.*lr=0\.001"):
        fit(model, data, holdout_max=1, **QUICK)
    after = weights(model)
    assert all(torch.equal(before[k], after[k]) for k in before if k.startswith(("net.", "logvar")))


def test_divergence_of_a_stopped_seed_is_no_matter(monkeypatch):
    model = small(seeds=(0, 1))
    inputs, targets = regression_pairs(model, linear_world(64))
    train = torch.arange(64).expand(2, -1)
    epochs = Epochs(model, inputs, targets, train, batch_size=32, lr=1e-3, logvar_coef=0.01)
    total = torch.tensor([[1.0, math.nan, 1.0], [1.0, 1.0, 1.0]])

    class Stopped:
        mse = torch.ones(2, 3)
        running = torch.tensor([False, True])

    epochs._check_finite(total, Stopped())
    Stopped.running = torch.tensor([True, True])
    with pytest.raises(DivergenceError, match="member 1 of seed 0"):
        epochs._check_finite(total, Stopped())


@pytest.mark.parametrize("field", ["obs", "action", "reward", "next_obs"])
def test_a_row_that_is_not_finite_is_named(field):
    data = linear_world(50)
    getattr(data, field)[13] = float("nan")
    with pytest.raises(DataError, match="transition 13"):
        fit(small(), data, **QUICK)


def test_other_dims_and_stacked_rows_are_refused():
    with pytest.raises(MismatchError, match="obs 3 and action 2"):
        fit(small(), random_transitions(50, obs_dim=4), **QUICK)
    with pytest.raises(MismatchError, match="flat"):
        fit(small(), random_transitions(2, 50), **QUICK)


@pytest.mark.parametrize(
    "option",
    [
        {"lr": 0.0},
        {"batch_size": 0},
        {"improvement": 1.0},
        {"patience": 0},
        {"max_epochs": 0},
        {"holdout_max": 0},
    ],
    ids=str,
)
def test_impossible_options(option):
    with pytest.raises(ConfigError, match=next(iter(option)).split("_")[0]):
        fit(small(), linear_world(50), **(QUICK | option))


def test_batches_of_a_seed_do_not_depend_on_the_stack():
    a = Streams((3, 4), "dynamics.order").permutation(20)
    b = Streams((4,), "dynamics.order").permutation(20)
    assert torch.equal(a[1], b[0])


def test_rows_may_carry_more_than_the_fit_needs():
    t = linear_world(100)
    rich = Transitions(
        **{f.name: getattr(t, f.name) for f in dataclasses.fields(t)} | {"sim_state": torch.zeros(100, 4)}
    )
    fit(small(), rich, **QUICK)
