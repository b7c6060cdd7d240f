import math

import pytest
import torch

import mbrl.dynamics.epochs as epochs_module
import mbrl.dynamics.fused as module
from mbrl.core.maths import soft_clamp
from mbrl.core.nets import ACTIVATIONS
from mbrl.core.precision import lower_products
from mbrl.dynamics.ensemble import Ensemble
from mbrl.dynamics.epochs import Epochs, member_loss
from mbrl.dynamics.fused import DERIVATIVES, member_gradient, nll_gradient, product
from mbrl.dynamics.losses import gaussian_nll

COEF = 0.3


@pytest.fixture
def two_cores():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def normal(*shape, key=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(key), dtype=dtype)


def ensemble(seeds=(3, 4), activation="silu", hidden=(8, 6)):
    decay = (0,) * (len(hidden) + 1)
    model = Ensemble(
        3, 2, seeds=seeds, members=3, elites=2, hidden=hidden, weight_decay=decay, activation=activation
    ).double()
    with torch.no_grad():
        for i, p in enumerate(model.networks().values()):
            p.add_(0.3 * normal(*p.shape, key=i))
    model.normaliser.mean.add_(0.4)
    model.normaliser.std.mul_(1.3)
    return model


def by_autograd(model, inputs, targets):
    """NLL and gradients of the plain loss."""
    loss, nll = member_loss(model, inputs, targets, COEF)
    gradients = torch.autograd.grad(loss.sum(), list(model.networks().values()))
    return nll, dict(zip(model.networks(), gradients, strict=True))


def by_hand(model, inputs, targets):
    """The same, from the function under test, with L as (S_d, E)."""
    x = model.normaliser(inputs).flatten(0, 1)
    nll, gradients = member_gradient(model, x, targets.flatten(0, 1), COEF)
    return nll.view(inputs.shape[:2]), {
        name: gradients[name].view_as(p) for name, p in model.networks().items()
    }


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("hidden", [(8,), (8, 6), (5, 6, 7)])
def test_the_gradient_is_that_of_the_plain_loss(activation, hidden):
    model = ensemble(activation=activation, hidden=hidden)
    inputs, targets = normal(2, 3, 10, 5, key=50), normal(2, 3, 10, 4, key=51)
    (nll, want), (found, got) = by_autograd(model, inputs, targets), by_hand(model, inputs, targets)
    torch.testing.assert_close(found, nll)
    assert got.keys() == want.keys()
    for name in want:
        torch.testing.assert_close(got[name], want[name], rtol=1e-9, atol=1e-12)
        assert got[name].is_contiguous()  # the fused Adam does not look at strides
        assert not got[name].requires_grad


def test_every_activation_has_its_derivative():
    x = normal(50)
    assert set(DERIVATIVES) == set(ACTIVATIONS.values())
    for activation, derivative in DERIVATIVES.items():
        pre = x.clone().requires_grad_()
        (want,) = torch.autograd.grad(activation(pre).sum(), pre)
        d = torch.full_like(x, 2.0)
        found = derivative(d, x)
        assert found.data_ptr() == d.data_ptr()
        torch.testing.assert_close(found, 2 * want)


def test_nll_by_hand():
    """v = 0 between bounds -1 and 2, error 3: by the chain rule, in numbers."""
    out, target = torch.tensor([[[5.0, 0.0]]]).double(), torch.tensor([[[2.0]]]).double()
    low, high = torch.tensor([[[-1.0]]]).double(), torch.tensor([[[2.0]]]).double()
    nll, d, (d_low, d_high) = nll_gradient(out, low, high, target)
    capped = 2 - math.log(1 + math.exp(2))
    logvar = -1 + math.log(1 + math.exp(capped + 1))
    squared = 9 / math.exp(logvar)
    inside, raw = 1 / (1 + math.exp(-capped - 1)), 1 / (1 + math.exp(-2))
    assert nll.item() == pytest.approx(squared + logvar)
    assert d[0, 0, 0].item() == pytest.approx(2 * squared / 3)
    assert d[0, 0, 1].item() == pytest.approx((1 - squared) * inside * raw)
    assert d_high.item() == pytest.approx((1 - squared) * inside * (1 - raw))
    assert d_low.item() == pytest.approx((1 - squared) * (1 - inside))


@pytest.mark.parametrize("scale", [1.0, 50.0, 1e4])
def test_nll_is_that_of_the_plain_formulas_however_far_out(scale):
    out, target = normal(3, 7, 8, key=1).float(), normal(3, 7, 4, key=2).float()
    out[..., 4:] *= scale
    low, high = (normal(3, 1, 4, key=3).float() - 8), (normal(3, 1, 4, key=4).float() + 1)
    leaves = [x.clone().requires_grad_() for x in (out, low, high)]
    mean, raw = leaves[0].chunk(2, -1)
    want = gaussian_nll(mean, soft_clamp(raw, *leaves[1:]), target)
    gradients = torch.autograd.grad(want.sum(), leaves)
    nll, d, bounds = nll_gradient(out, low, high, target)
    torch.testing.assert_close(nll, want.detach(), rtol=1e-5, atol=1e-6)
    for got, expected in zip((d, *bounds), gradients, strict=True):
        assert got.isfinite().all()
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True)])
def test_shared_out_products_are_the_same_bits(count, transposed, two_cores, monkeypatch):
    calls = []
    plain = module._product
    monkeypatch.setattr(module, "_product", lambda *x: calls.append(len(x[0])) or plain(*x))
    monkeypatch.setattr(module, "WORTHWHILE", 1 << 16)
    a, b = normal(count, 64, 48, dtype=torch.float32), normal(count, 48, 32, key=1, dtype=torch.float32)
    bias = normal(count, 1, 32, key=2, dtype=torch.float32)
    if transposed[0]:
        a = a.transpose(1, 2).contiguous().transpose(1, 2)
    if transposed[1]:
        b = b.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(product(a, b), torch.bmm(a, b))
    assert torch.equal(product(a, b, bias), torch.baddbmm(bias, a, b))
    assert calls == ([count - 1, 2] if count in (3, 7) else [count]) * 2


def test_small_products_and_odd_rows_are_left_whole(two_cores, monkeypatch):
    calls = []
    plain = module._product
    monkeypatch.setattr(module, "_product", lambda *x: calls.append(len(x[0])) or plain(*x))
    product(normal(3, 64, 8), normal(3, 8, 8))
    product(normal(3, 301, 128), normal(3, 128, 128))
    assert calls == [3, 3]
    product(normal(3, 300, 128), normal(3, 128, 128))
    assert calls == [3, 3, 2, 2]


@pytest.mark.parametrize("cores", [3, 4, 6])
def test_several_odd_matrices_share_the_cores(cores, monkeypatch):
    monkeypatch.setattr(module.torch, "get_num_threads", lambda: cores)
    monkeypatch.setattr(module, "WORTHWHILE", 1)
    a, b, bias = normal(8, 12, 5), normal(8, 5, 7, key=1), normal(8, 1, 7, key=2)
    torch.testing.assert_close(product(a, b, bias), a @ b + bias)
    torch.testing.assert_close(product(a.mT.contiguous().mT, b), a @ b)


def test_a_stack_of_models_has_the_bits_of_single_ones(two_cores, monkeypatch):
    monkeypatch.setattr(module, "WORTHWHILE", 1 << 12)
    both = ensemble(seeds=(3, 4), hidden=(32, 32)).float()
    inputs, targets = normal(2, 3, 64, 5, key=7).float(), normal(2, 3, 64, 4, key=8).float()
    nll, together = by_hand(both, inputs, targets)
    for s in range(2):
        alone = ensemble(seeds=(s + 3,), hidden=(32, 32)).float()
        alone.load_state_dict({k: x[s : s + 1] for k, x in both.state_dict().items()})
        one, gradients = by_hand(alone, inputs[s : s + 1], targets[s : s + 1])
        assert torch.equal(one[0], nll[s])
        for name, x in gradients.items():
            assert torch.equal(x[0], together[name][s]), name


def test_a_step_in_lower_products_is_close_and_leaves_parameters_and_moments_in_their_own_type():
    rows, found = (normal(64, 5, key=7).float(), normal(64, 4, key=8).float()), {}
    for precision in ("float32", "bf16"):
        model = ensemble().float()
        lower_products(model, precision)
        loop = Epochs(model, *rows, torch.arange(64).repeat(2, 1), batch_size=64, lr=1e-3, logvar_coef=COEF)
        (batch,) = loop.batches(loop.orders.permutation(64))
        found[precision] = loop.step(*batch), {name: p.grad for name, p in model.networks().items()}
        assert all(x.dtype == torch.float32 for x in (*found[precision][1].values(), found[precision][0]))
        assert all(m["exp_avg"].dtype == torch.float32 for m in loop.optimiser.state.values())
    (exact, plain), (nll, gradients) = found["float32"], found["bf16"]
    assert not torch.equal(nll, exact)
    torch.testing.assert_close(nll, exact, rtol=0.05, atol=0.05)
    for name, x in gradients.items():
        torch.testing.assert_close(x, plain[name], rtol=0.1, atol=0.05 * plain[name].abs().max().item())


def test_batches_do_not_depend_on_how_far_ahead_they_are_gathered(monkeypatch):
    model = ensemble(seeds=(0, 1))
    inputs, targets = normal(90, 5, key=1), normal(90, 4, key=2)
    train = torch.stack([torch.arange(90), torch.arange(90).flip(0)])
    loop = Epochs(model, inputs, targets, train, batch_size=16, lr=1e-3, logvar_coef=0.0)
    order = loop.orders.permutation(90)
    found = {}
    for ahead in (1, 200, 1 << 15):
        monkeypatch.setattr(epochs_module, "AHEAD", ahead)
        found[ahead] = list(loop.batches(order))
        assert [len(x[0]) for x, _ in found[ahead]] == [16] * 5 + [10]
    for i, (x, y) in enumerate(found[1]):
        at = slice(16 * i, 16 * i + 16)
        for s in range(2):
            for e in range(3):
                rows = loop.bootstrap[s, e, order[s, at]]
                torch.testing.assert_close(x[3 * s + e], (inputs[rows] - 0.4) / 1.3)
                assert torch.equal(y[3 * s + e], targets[rows])
        for other in found.values():
            assert torch.equal(other[i][0], x)
            assert torch.equal(other[i][1], y)
