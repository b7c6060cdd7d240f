"""CQL's regulariser against arithmetic by hand, loops, and an integral in closed form."""

import math

import pytest
import torch

from mbrl.agents.conservative import conservative_gap, masked_mean, soft_maximum, uniform_log_density


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_soft_maximum_by_hand():
    q = torch.tensor([0.0, math.log(3.0)]).view(1, 1, 2, 1)
    even = torch.zeros(1, 2, 1)
    # log( (1 + 3) / 2 ); then the first action is drawn half as often as it should be: log( (2 + 3) / 2 )
    assert soft_maximum(q, even, 1.0).item() == pytest.approx(math.log(2.0))
    rare = torch.tensor([math.log(0.5), 0.0]).view(1, 2, 1)
    assert soft_maximum(q, rare, 1.0).item() == pytest.approx(math.log(2.5))
    # temperature 2: 2 log( (2 + sqrt(3)) / 2 ), the densities untouched by it
    assert soft_maximum(q, rare, 2.0).item() == pytest.approx(2 * math.log((2 + math.sqrt(3.0)) / 2))


def test_soft_maximum_runs_over_every_action_of_a_state_and_keeps_states_apart():
    """One of 30 values stands out: log(e^50 / 30). Averages of logsumexps over 3, a known mistake, give 6."""
    q = torch.zeros(1, 1, 30, 4)
    q[..., 17, 2] = 50.0
    got = soft_maximum(q, torch.zeros(1, 30, 4), 1.0)
    assert got.shape == (1, 1, 4)
    assert got.flatten().tolist() == pytest.approx([0.0, 0.0, 50 - math.log(30), 0.0], abs=1e-5)


def test_soft_maximum_is_a_loop():
    q, log_density = randn(2, 3, 6, 4), randn(2, 6, 4, seed=1)
    got = soft_maximum(q, log_density, 0.7)
    for s in range(2):
        for i in range(3):
            for b in range(4):
                total = sum(
                    math.exp(q[s, i, j, b].item() / 0.7) / math.exp(log_density[s, j, b].item())
                    for j in range(6)
                )
                assert got[s, i, b].item() == pytest.approx(0.7 * math.log(total / 6), rel=1e-12)


def test_a_constant_value_has_a_known_integral():
    # int over [-1, 1]^3 of e^c da = 8 e^c, exactly, from uniform actions
    q = torch.full((1, 1, 10, 2), 5.0)
    log_density = torch.full((1, 10, 2), uniform_log_density(3))
    assert soft_maximum(q, log_density, 1.0).flatten().tolist() == pytest.approx([5 + math.log(8.0)] * 2)
    assert uniform_log_density(3) == pytest.approx(math.log(0.5**3))


def test_soft_maximum_is_finite_for_large_values_and_its_gradient_picks_the_largest():
    q = torch.tensor([1e4, -1e4]).view(1, 1, 2, 1).requires_grad_()
    value = soft_maximum(q, torch.zeros(1, 2, 1), 1.0)
    (gradient,) = torch.autograd.grad(value.sum(), q)
    assert value.item() == pytest.approx(1e4 - math.log(2), rel=1e-6)
    assert gradient.flatten().tolist() == [1.0, 0.0]


@pytest.mark.parametrize("shape", [(2, 4, 5), (1, 5, 4), (1, 20, 1)])
def test_values_and_densities_of_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="against log_density"):
        soft_maximum(torch.zeros(1, 3, 4, 5), torch.zeros(shape), 1.0)


def test_masked_mean_by_hand():
    x = torch.tensor([[[1.0, 2.0, 6.0], [0.0, 4.0, math.inf]], [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    got = masked_mean(x, mask)
    assert got[0].tolist() == [1.5, 2.0]
    assert got[1].isnan().all()


def test_the_gap_by_hand():
    soft_max = torch.tensor([[[1.0, 3.0, 8.0], [0.0, 2.0, 4.0]]])
    q_data = torch.tensor([[[10.0, 0.0, 0.0], [20.0, 0.0, 0.0]]])
    real = torch.tensor([[True, False, False]])
    # all rows: (4 - 10) + (2 - 20);  synthetic rows alone: (5.5 - 10) + (3 - 20)
    assert conservative_gap(soft_max, q_data, torch.ones_like(real), real).tolist() == [-24.0]
    assert conservative_gap(soft_max, q_data, ~real, real).tolist() == [-21.5]


def test_the_gap_keeps_seeds_apart():
    soft_max, q_data = randn(3, 2, 5), randn(3, 2, 5, seed=1)
    real = torch.tensor([[True, False, True, False, False]] * 3)
    together = conservative_gap(soft_max, q_data, ~real, real)
    for s in range(3):
        alone = conservative_gap(*(x[s : s + 1] for x in (soft_max, q_data, ~real, real)))
        assert alone.item() == pytest.approx(together[s].item(), rel=1e-12)
