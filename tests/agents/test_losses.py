"""Every loss against arithmetic by hand and against loops over seeds, critics and rows."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrl.agents.losses import (
    actor_objective,
    behaviour_cloning,
    bellman_target,
    critic_regression,
    diversity,
    soft_value,
    temperature_loss,
)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def soft_target(reward, terminal, next_q, next_log_prob, alpha, gamma):
    """The critics' target as SAC composes it."""
    return bellman_target(reward, terminal, soft_value(next_q, next_log_prob, alpha), gamma)


def test_soft_target_by_hand_with_negative_rewards_and_an_infinite_value_beyond_a_terminal():
    inf = math.inf
    y = soft_target(
        reward=torch.tensor([[-1.0, 2.0, -3.0, -0.5]]).double(),
        terminal=torch.tensor([[False, False, True, True]]),
        next_q=torch.tensor([[[-4.0, 5.0, inf, -inf], [-3.0, 1.0, inf, math.nan]]]).double(),
        next_log_prob=torch.tensor([[-0.5, 2.0, -inf, inf]]).double(),
        alpha=torch.tensor([0.2], dtype=torch.float64),
        gamma=0.9,
    )
    # -1 + 0.9 (-4 + 0.2 * 0.5) = -1 - 0.9 * 3.9 = -4.51;  2 + 0.9 (1 - 0.2 * 2) = 2.54;  -3;  -0.5
    assert y.tolist() == [pytest.approx([-4.51, 2.54, -3.0, -0.5], rel=1e-12)]


def test_soft_target_is_a_loop_over_seeds_rows_and_critics():
    reward, q, log_prob = randn(3, 5), randn(3, 4, 5, seed=1), randn(3, 5, seed=2)
    terminal, alpha = randn(3, 5, seed=3) > 0, randn(3, seed=4).exp()
    y = soft_target(reward, terminal, q, log_prob, alpha, 0.97)
    for s in range(3):
        for b in range(5):
            lowest = min(q[s, i, b].item() for i in range(4))
            value = 0.0 if terminal[s, b] else lowest - alpha[s].item() * log_prob[s, b].item()
            assert y[s, b].item() == pytest.approx(reward[s, b].item() + 0.97 * value, rel=1e-12)


def test_targets_may_be_negative_and_nothing_is_clamped():
    zeros = torch.zeros(1, 1)
    y = soft_target(zeros - 100, zeros > 1, torch.full((1, 2, 1), -1e4), zeros, torch.ones(1), 0.99)
    assert y.item() == pytest.approx(-100 - 9900)


def test_critic_regression_by_hand():
    q = torch.tensor([[[1.0, 2.0], [0.0, 4.0]]])
    target = torch.tensor([[3.0, 1.0]])
    # critic 0: (4 + 1) / 2 = 2.5; critic 1: (9 + 9) / 2 = 9; their sum
    assert critic_regression(q, target).tolist() == [11.5]


def test_critic_regression_is_a_sum_over_critics_of_a_mean_over_rows():
    q, target = randn(2, 3, 7), randn(2, 7, seed=1)
    loss = critic_regression(q, target)
    for s in range(2):
        loops = sum(sum((q[s, i, b] - target[s, b]) ** 2 for b in range(7)) / 7 for i in range(3))
        assert loss[s].item() == pytest.approx(loops.item(), rel=1e-12)


def test_diversity_by_hand():
    # two critics: 1/(2 - 1) * 2 <u_1, u_2>, whatever the lengths of the gradients
    right, up, left = [2.0, 0.0], [0.0, 5.0], [-0.1, 0.0]
    assert diversity(torch.tensor([[[right], [right]]])).item() == pytest.approx(2.0)
    assert diversity(torch.tensor([[[right], [up]]])).item() == pytest.approx(0.0)
    assert diversity(torch.tensor([[[right], [left]]])).item() == pytest.approx(-2.0)
    # three: (<r,u> + <r,l> + <u,l>) * 2 / 2 = -1;  equal ones: 3 * 2 / 2 = 3
    assert diversity(torch.tensor([[[right], [up], [left]]])).item() == pytest.approx(-1.0)
    assert diversity(torch.tensor([[[up], [up], [up]]])).item() == pytest.approx(3.0)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 6), st.integers(1, 4), st.integers(1, 4), st.integers(0, 1000))
def test_diversity_is_the_double_loop(members, rows, actions, seed):
    g = randn(2, members, rows, actions, seed=seed)
    got = diversity(g)
    for s in range(2):
        total = 0.0
        for b in range(rows):
            for i in range(members):
                for j in range(members):
                    if i != j:
                        a, c = g[s, i, b], g[s, j, b]
                        total += (a @ c / (a.norm() * c.norm())).item()
        assert got[s].item() == pytest.approx(total / (members - 1) / rows, rel=1e-9, abs=1e-12)


def test_diversitys_gradient_is_that_of_the_double_loop():
    g = randn(1, 3, 4, 2).requires_grad_()
    (fast,) = torch.autograd.grad(diversity(g).sum(), g)
    unit = g / g.norm(dim=-1, keepdim=True)
    loops = sum((unit[:, i] * unit[:, j]).sum(-1).mean(-1) for i in range(3) for j in range(3) if i != j) / 2
    (slow,) = torch.autograd.grad(loops.sum(), g)
    assert torch.allclose(fast, slow, rtol=1e-9, atol=1e-12)


def test_a_zero_gradient_has_no_direction_and_no_derivative():
    g = randn(1, 3, 2, 2).float()
    g[0, 0, 0] = 0.0
    g.requires_grad_()
    loss = diversity(g)
    (derivative,) = torch.autograd.grad(loss.sum(), g)
    assert loss.isfinite().all()
    assert derivative.isfinite().all()
    assert derivative[0, 0, 0].tolist() == [0.0, 0.0]
    # the other two still compare with each other on that row
    a, b = g[0, 1], g[0, 2]
    pairs = torch.nn.functional.cosine_similarity(a, b, dim=-1)
    zeros = torch.nn.functional.cosine_similarity(g[0, 0, 1], a[1] + 0, dim=-1)
    last = torch.nn.functional.cosine_similarity(g[0, 0, 1], b[1] + 0, dim=-1)
    assert loss.item() == pytest.approx((pairs.sum() + zeros + last).item() / 2, rel=1e-5)


def test_a_gradient_that_is_not_finite_is_not_hidden():
    g = randn(1, 2, 1, 2)
    g[0, 0, 0, 0] = math.nan
    assert diversity(g).isnan().all()


def test_diversity_of_one_critic_is_refused():
    with pytest.raises(ValueError, match="needs at least 2, got 1"):
        diversity(torch.ones(1, 1, 3, 2))


def test_actor_objective_by_hand():
    log_prob, q = torch.tensor([[-1.0, 2.0]]), torch.tensor([[[3.0, -5.0], [4.0, -6.0]]])
    # (0.5 * -1 - 3 + 0.5 * 2 + 6) / 2 = (-3.5 + 7) / 2
    assert actor_objective(log_prob, q.amin(dim=1), torch.tensor([0.5])).tolist() == [1.75]


def test_temperature_loss_by_hand_and_its_sign():
    log_alpha = torch.tensor([math.log(0.5), 0.0], requires_grad=True)
    # entropy of seed 0 is 1, of seed 1 is 3; the target is 2
    log_prob = torch.tensor([[-0.5, -1.5], [-3.0, -3.0]], requires_grad=True)
    loss = temperature_loss(log_alpha, log_prob, 2.0)
    assert loss.tolist() == pytest.approx([-math.log(0.5) * 1.0, 0.0])
    gradient, through = torch.autograd.grad(loss.sum(), [log_alpha, log_prob], allow_unused=True)
    assert gradient.tolist() == [
        -1.0,
        1.0,
    ]  # descending raises alpha below the target entropy, else lowers it
    assert through is None


def test_behaviour_cloning_by_hand():
    action = torch.tensor([[[0.0, 1.0], [0.5, 0.5]]])
    data = torch.tensor([[[1.0, 1.0], [0.5, -0.5]]])
    assert behaviour_cloning(action, data).tolist() == [0.5]  # (1 + 0 + 0 + 1) / 4


def test_every_loss_keeps_seeds_apart():
    q, target, log_prob, alpha = randn(3, 2, 4), randn(3, 4, seed=1), randn(3, 4, seed=2), randn(3, seed=3)
    g, a = randn(3, 2, 4, 2, seed=4), randn(3, 4, 2, seed=5)
    losses = {
        critic_regression: (q, target),
        diversity: (g,),
        actor_objective: (log_prob, target, alpha),
        behaviour_cloning: (a, g[:, 0]),
    }
    for loss, arguments in losses.items():
        together = loss(*arguments)
        assert together.shape == (3,)
        for s in range(3):
            alone = loss(*(x[s : s + 1] for x in arguments))
            assert alone.item() == pytest.approx(together[s].item(), rel=1e-12)
