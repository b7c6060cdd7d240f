import pytest
import torch

import mbrl.dynamics.ensemble as module
import mbrl.dynamics.routing as routing
from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.seeds import Streams
from mbrl.dynamics.ensemble import Ensemble
from mbrl.dynamics.routing import counted, tiled

O, A = 3, 2  # noqa: E741 (the project's letter for the axis)


def small(**changes):
    """Untrained, with a normaliser and a permutation of elites that are not the identity."""
    options = {
        "seeds": (0,),
        "members": 4,
        "elites": 3,
        "hidden": (16, 16),
        "weight_decay": (0, 0, 0),
    } | changes
    model = Ensemble(O, A, **options)
    model.normaliser.mean.add_(0.3)
    model.normaliser.std.mul_(1.7)
    model.elites.copy_(model.elites.flip(-1) + (model.members - model.elites.shape[-1]))
    return model


def inputs(seeds=1, rows=40, key=0):
    g = torch.Generator().manual_seed(key)
    return torch.randn(seeds, rows, O, generator=g), torch.rand(seeds, rows, A, generator=g) * 2 - 1


def make_constant(model, means, std):
    """Member e predicts the difference and reward means[e] with a given std, whatever the input."""
    with torch.no_grad():
        for p in model.net.parameters():
            p.zero_()
        head = model.net.layers[-1].bias
        head[..., : O + 1] = torch.tensor(means).view(1, -1, 1, 1)
        model.logvar_min.fill_(-40.0)
        model.logvar_max.fill_(40.0)
        head[..., O + 1 :] = 2 * torch.tensor(std).log()
    model.normaliser.mean.zero_()


@pytest.mark.parametrize(("model_seeds", "rollout_seeds"), [((0,), 1), ((0,), 3), ((5, 6, 7), 3)])
@pytest.mark.parametrize("way", [counted, tiled])
@pytest.mark.parametrize("chunk", [5, 16384])
def test_own_elite_only_equals_all_members_gathered(model_seeds, rollout_seeds, chunk, way, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", chunk)
    monkeypatch.setattr(routing, "BLOCK_ROWS", chunk)
    monkeypatch.setattr(module, "route", way)
    model = small(seeds=model_seeds)
    obs, action = inputs(rollout_seeds)
    seeds = range(rollout_seeds)
    few = model.step(None, obs, action, Streams(seeds, "x"))
    every = model.step(None, obs, action, Streams(seeds, "x"), members=True)
    assert few.prediction is None
    torch.testing.assert_close(few.next_obs, every.next_obs, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(few.reward, every.reward, rtol=1e-5, atol=1e-6)
    # And the definition itself: gather the drawn elite, add std times the drawn noise.
    draws = Streams(seeds, "x")
    choice, noise = draws.randint(3, obs.shape[1]), draws.randn(obs.shape[1], O + 1)
    mean, std, elites = every.prediction
    for s in range(rollout_seeds):
        for b in range(obs.shape[1]):
            e = elites[s, choice[s, b]]
            want = mean[s, e, b] + std[s, e, b] * noise[s, b]
            torch.testing.assert_close(every.next_obs[s, b], want[:-1])
            torch.testing.assert_close(every.reward[s, b], want[-1])


def test_predict_equals_a_naive_loop_over_members_by_formula():
    model = small(seeds=(1, 2))
    obs, action = inputs(2, rows=6)
    got = model.predict(obs, action)
    for s in range(2):
        for e in range(4):
            x = (torch.cat([obs[s], action[s]], -1) - 0.3) / 1.7
            for layer in model.net.layers[:-1]:
                x = x @ layer.weight[s, e] + layer.bias[s, e]
                x = x * torch.sigmoid(x)
            last = model.net.layers[-1]
            x = x @ last.weight[s, e] + last.bias[s, e]
            mean, logvar = x[:, : O + 1].clone(), x[:, O + 1 :]
            mean[:, :O] += obs[s]
            logvar = 0.5 - torch.nn.functional.softplus(0.5 - logvar)
            logvar = -10 + torch.nn.functional.softplus(logvar + 10)
            torch.testing.assert_close(got.mean[s, e], mean, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(got.std[s, e], logvar.exp().sqrt(), rtol=1e-5, atol=1e-6)


def test_only_elites_are_sampled_each_row_on_its_own_and_equally_often():
    model = small(members=7, elites=5)
    model.elites.copy_(torch.tensor([[6, 1, 4, 0, 2]]))
    make_constant(model, means=[10.0 * e for e in range(7)], std=1e-4)
    obs, action = inputs(rows=5000)
    out = model.step(None, obs, action, Streams((0,), "x"))
    member = (out.reward / 10).round().long().flatten()
    torch.testing.assert_close(
        out.next_obs - obs, out.reward.unsqueeze(-1).expand(-1, -1, O), atol=1e-2, rtol=0
    )
    counts = member.bincount(minlength=7)
    assert counts[[3, 5]].tolist() == [0, 0]
    assert (counts[[0, 1, 2, 4, 6]] - 1000).abs().max() < 150  # 5 std of a binomial
    assert (member[1:] == member[:-1]).float().mean().item() == pytest.approx(0.2, abs=0.03)


def test_samples_have_the_predicted_mean_and_std():
    model = small()
    make_constant(model, means=[1.0, 2.0, 2.0, 2.0], std=0.5)
    obs, action = inputs(rows=20_000)
    out = model.step(None, obs, action, Streams((0,), "x"))
    for x in ((out.next_obs - obs).flatten(), out.reward.flatten()):
        assert x.mean().item() == pytest.approx(2.0, abs=0.02)
        assert x.std().item() == pytest.approx(0.5, abs=0.02)


def test_log_variance_stays_between_its_bounds():
    model = small()
    with torch.no_grad():
        for bias in (-1e4, 1e4):
            model.net.layers[-1].bias[..., O + 1 :] = bias
            std = model.predict(*inputs()).std
            assert std.isfinite().all()
            assert std.min() >= torch.tensor(-5.0).exp() - 1e-6
            assert std.max() <= torch.tensor(0.25).exp() + 1e-4


def test_initial_weights_of_a_seed_depend_on_that_seed_alone():
    stack, alone = small(seeds=(4, 9)), small(seeds=(9,))
    for name, p in stack.networks().items():
        assert torch.equal(p[1], alone.networks()[name][0])
    w = stack.net.layers[0].weight
    assert not torch.equal(w[0], w[1])
    assert not torch.equal(w[0, 0], w[0, 1])


def test_initial_weights_are_truncated_normal():
    w = Ensemble(11, 3).net.layers[1].weight
    std = 1 / (2 * 200**0.5)
    assert w.abs().max() <= 2 * std + 1e-6
    assert w.std().item() == pytest.approx(0.8796 * std, rel=0.01)  # a normal cut at two std is narrower


def test_a_stack_steps_as_single_models_do():
    stack = small(seeds=(0, 1, 2))
    obs, action = inputs(3)
    together = stack.step(None, obs, action, Streams((7, 8, 9), "x"), members=True)
    for s in range(3):
        alone = small(seeds=(s,))
        one = alone.step(None, obs[s : s + 1], action[s : s + 1], Streams((7 + s,), "x"), members=True)
        torch.testing.assert_close(together.next_obs[s], one.next_obs[0], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(together.prediction.mean[s], one.prediction.mean[0], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(together.prediction.std[s], one.prediction.std[0], rtol=1e-6, atol=1e-6)


def test_termination_sees_obs_action_and_the_sampled_next_obs():
    seen = []

    def rule(obs, action, next_obs):
        seen.append((obs, action, next_obs))
        return next_obs[..., 0] > 0

    model = small(termination=rule)
    obs, action = inputs()
    out = model.step(None, obs, action, Streams((0,), "x"))
    assert torch.equal(out.terminal, out.next_obs[..., 0] > 0)
    assert all(x is y for x, y in zip(seen[0], (obs, action, out.next_obs), strict=True))


def test_a_row_that_is_not_finite_is_terminal_and_counted_and_leaves_the_others_alone():
    model = small()
    obs, action = inputs()
    clean = model.step(None, obs, action, Streams((0,), "x"))
    obs[0, 3, 1] = float("nan")
    obs[0, 8, 0] = float("inf")
    out = model.step(None, obs, action, Streams((0,), "x"))
    assert out.terminal.nonzero()[:, 1].tolist() == [3, 8]
    assert model.nonfinite.item() == 2
    others = [b for b in range(40) if b not in (3, 8)]
    assert torch.equal(out.next_obs[:, others], clean.next_obs[:, others])


def test_no_gradient_is_kept_by_a_rollout():
    obs, action = inputs()
    out = small().step(None, obs, action, Streams((0,), "x"), members=True)
    assert not any(
        x.requires_grad for x in (out.next_obs, out.reward, out.prediction.mean, out.prediction.std)
    )


@pytest.mark.parametrize(
    ("obs_shape", "action_shape"),
    [((1, 5, O + 1), (1, 5, A)), ((1, 5, O), (1, 5, A + 1)), ((1, 5, O), (1, 4, A)), ((5, O), (5, A))],
)
def test_other_dims_are_refused(obs_shape, action_shape):
    with pytest.raises(MismatchError, match=r"obs \[S, B, 3\] and action \[S, B, 2\]"):
        small().predict(torch.zeros(obs_shape), torch.zeros(action_shape))


def test_a_stack_of_other_size_is_refused():
    with pytest.raises(MismatchError, match="2 seeds cannot serve a rollout of 3"):
        small(seeds=(0, 1)).predict(*inputs(3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"elites": 5}, "elites=5"),
        ({"elites": 0}, "elites=0"),
        ({"weight_decay": (0, 0)}, "weight_decay has 2 entries; one a layer is 3"),
        ({"logvar_init": (0.5, -10.0)}, "logvar_init"),
        ({"activation": "swich"}, "silu"),
        ({"seeds": ()}, "at least 1"),
        ({"hidden": (16, 0)}, "at least 1"),
    ],
)
def test_impossible_sizes_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        small(**changes)


def test_learned_head_is_not_among_the_members_tensors():
    model = small(termination=torch.nn.Linear(1, 1))
    assert {p.shape[:2] for p in model.networks().values()} == {(1, 4)}
    assert any(name.startswith("termination.") for name in model.state_dict())
