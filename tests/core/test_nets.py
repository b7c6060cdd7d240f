"""Stacked networks against loops over nn.Linear, and their initial weights against the laws they name."""

import math

import pytest
import torch
from torch import nn

from mbrl.core import nets
from mbrl.core.errors import ConfigError
from mbrl.core.nets import (
    ACTIVATIONS,
    IN_PLACE,
    StackedLinear,
    StackedMLP,
    hidden_bias,
    torch_default,
    truncated_normal,
    uniform,
)
from mbrl.core.seeds import Streams


def plain(layer: StackedLinear, index: tuple[int, ...]) -> nn.Linear:
    """The nn.Linear with the weights of one member of the stack."""
    linear = nn.Linear(layer.fan_in, layer.fan_out)
    with torch.no_grad():
        linear.weight.copy_(layer.weight[index].T)
        linear.bias.copy_(layer.bias[index].squeeze(0))
    return linear


def filled(lead: tuple[int, ...], fan_in: int, fan_out: int) -> StackedLinear:
    layer = StackedLinear(lead, fan_in, fan_out)
    with torch.no_grad():
        for p in layer.parameters():
            p.normal_(generator=torch.Generator().manual_seed(1))
    return layer


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("lead", [(1,), (3,), (2, 4)])
def test_stacked_linear_is_a_loop_over_linears(lead):
    layer = filled(lead, 5, 2)
    x = torch.randn(*lead, 7, 5, generator=torch.Generator().manual_seed(2))
    got = layer(x)
    assert got.shape == (*lead, 7, 2)
    for index in torch.cartesian_prod(*(torch.arange(n) for n in lead)).reshape(-1, len(lead)).tolist():
        member = tuple(index)
        assert torch.allclose(got[member], plain(layer, member)(x[member]), rtol=1e-12)


@pytest.mark.usefixtures("double")
def test_axes_of_one_are_shared_by_the_stack():
    layer = filled((2, 3), 4, 1)
    x = torch.randn(2, 1, 5, 4)
    assert torch.equal(layer(x), layer(x.expand(2, 3, 5, 4)))


def test_gradients_of_members_stay_apart():
    layer = filled((3,), 2, 2)
    layer(torch.ones(3, 4, 2))[1].sum().backward()
    assert layer.weight.grad[1].abs().sum() > 0
    assert layer.weight.grad[0].abs().sum() == 0
    assert layer.bias.grad[2].abs().sum() == 0


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(
    ("name", "function"), [("relu", nn.functional.relu), ("silu", nn.functional.silu), ("tanh", torch.tanh)]
)
def test_mlp_is_a_loop_over_layers_with_its_activation_between(name, function):
    mlp = StackedMLP((2,), (3, 8, 8, 1), Streams([0, 1], "t"), activation=name)
    x = torch.randn(2, 6, 3)
    for s in range(2):
        h = x[s]
        for layer in mlp.layers[:-1]:
            h = function(plain(layer, (s,))(h))
        assert torch.allclose(mlp(x)[s], plain(mlp.layers[-1], (s,))(h), rtol=1e-12)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_without_a_gradient_rows_go_through_in_blocks_and_come_out_the_same(name, monkeypatch):
    assert IN_PLACE.keys() == set(ACTIVATIONS.values())
    monkeypatch.setitem(nets.BLOCK_ROWS, "cpu", 16)
    mlp = StackedMLP((2, 3), (4, 8, 8, 2), Streams([0, 1], "x"), activation=name)
    seen = []
    mlp.layers[0].register_forward_hook(lambda layer, args, out: seen.append(args[0].shape[-2]))
    for rows, lengths in ((50, [13, 13, 12, 12]), (16, [16]), (3, [3])):
        for lead in ((2, 3), (2, 1)):
            x = torch.randn(*lead, rows, 4, generator=torch.Generator().manual_seed(rows))
            before = x.clone()
            want = mlp(x).detach()
            seen.clear()
            with torch.no_grad():
                got = mlp(x)
            assert seen == lengths
            torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6)
            assert torch.equal(x, before)


def test_mlp_without_hidden_layers_is_affine():
    mlp = StackedMLP((1,), (3, 2), Streams([0], "t"), init_last=uniform(1.0))
    assert len(mlp.layers) == 1
    assert torch.allclose(mlp(torch.zeros(1, 1, 3)), mlp.layers[0].bias)


def test_torch_default_is_uniform_within_the_root_of_the_fan_in():
    layer = StackedLinear((2,), 16, 400)
    torch_default(layer, Streams([0, 1], "t"))
    for p in layer.parameters():
        assert p.abs().max() <= 0.25
        assert p.abs().max() > 0.24
        assert p.mean().abs() < 0.02
    assert layer.weight.var().item() == pytest.approx(0.25**2 / 3, rel=0.03)


def test_uniform_and_hidden_bias():
    layer = StackedLinear((1,), 50, 50)
    uniform(3e-3)(layer, Streams([0], "t"))
    assert 2.9e-3 < layer.weight.abs().max() <= 3e-3
    hidden_bias(0.1)(layer, Streams([0], "t"))
    assert layer.bias.unique().tolist() == pytest.approx([0.1])
    assert 0.14 < layer.weight.abs().max() <= 1 / math.sqrt(50)


def test_truncated_normal_has_the_moments_of_a_normal_cut_at_two_deviations():
    layer = StackedLinear((1,), 100, 2000)
    truncated_normal(layer, Streams([0], "t"))
    std = 1 / (2 * math.sqrt(100))
    assert layer.bias.abs().max() == 0
    assert 1.99 * std < layer.weight.abs().max() <= 2 * std * (1 + 1e-6)
    # variance of N(0, 1) cut at +-2: 1 - 2 * 2 phi(2) / (2 Phi(2) - 1) = 1 - 4 * 0.05399097 / 0.95449974
    assert layer.weight.var().item() == pytest.approx(std**2 * 0.7737413, rel=0.01)


@pytest.mark.parametrize("init", [torch_default, truncated_normal, hidden_bias(0.1), uniform(0.1)])
def test_a_seed_gets_the_same_weights_in_any_stack_and_members_differ(init):
    alone = StackedMLP((1, 3), (4, 8, 2), Streams([7], "t"), init=init, init_last=uniform(1e-3))
    stacked = StackedMLP((3, 3), (4, 8, 2), Streams([5, 7, 6], "t"), init=init, init_last=uniform(1e-3))
    for one, many in zip(alone.parameters(), stacked.parameters(), strict=True):
        assert torch.equal(one[0], many[1])
    for layer in stacked.layers:
        flat = layer.weight.detach().flatten(0, 1).flatten(1)
        assert len(flat.unique(dim=0)) == 9


def test_an_unknown_activation_is_refused_by_name():
    with pytest.raises(
        ConfigError, match=r"unknown activation 'rellu'; did you mean 'relu'.*known: relu, silu, tanh"
    ):
        StackedMLP((1,), (2, 2), Streams([0], "t"), activation="rellu")
