"""Adam over stacks: a plain Adam a seed, parameters it was not given left alone, a step size that falls."""

import math

import pytest
import torch
from torch import nn

from mbrl.agents.optim import adam, step
from mbrl.core.checkpoint import load_tree, save_tree
from mbrl.core.errors import ConfigError
from mbrl.core.optim import load_optimiser_state, optimiser_state


def quadratic(p: nn.Parameter) -> torch.Tensor:
    """A loss [S] with another curvature in every entry."""
    scale = torch.arange(1.0, p[0].numel() + 1).view(p[0].shape)
    return (scale * (p - 1).square()).flatten(1).sum(1)


def start() -> nn.Parameter:
    return nn.Parameter(torch.linspace(-1, 1, 24).view(2, 3, 4))


@pytest.mark.usefixtures("double")
def test_a_stack_steps_as_one_plain_adam_a_seed_would():
    p = start()
    optimiser = adam([p], 0.05)
    singles = [nn.Parameter(start()[s : s + 1].detach().clone()) for s in range(2)]
    plain = [torch.optim.Adam([q], lr=0.05) for q in singles]
    for _ in range(20):
        step(optimiser, quadratic(p), [p])
        for q, o in zip(singles, plain, strict=True):
            o.zero_grad()
            quadratic(q).sum().backward()
            o.step()
    assert torch.allclose(p, torch.cat(singles), rtol=1e-10)


def test_the_first_step_by_hand():
    # Adam's first step is lr * g / (|g| + 1e-8): the sign of the gradient
    p = nn.Parameter(torch.tensor([[3.0, -2.0]]))
    (gradient,) = step(adam([p], 0.1), p.square().sum(1), [p])
    assert gradient.tolist() == [[6.0, -4.0]]
    assert p.tolist() == [pytest.approx([2.9, -1.9])]


@pytest.mark.usefixtures("double")
def test_a_gradient_with_other_strides_reaches_the_right_entries():
    p, q = start(), start()
    through = torch.arange(24.0).view(2, 4, 3) - 11.5
    for _ in range(3):
        (gradient,) = step(adam([p], 0.05), (p.transpose(-1, -2) * through).sum((1, 2)), [p])
        plain = torch.optim.Adam([q], lr=0.05)
        q.grad = through.transpose(-1, -2).contiguous()
        plain.step()
    assert not gradient.is_contiguous()  # else this shows nothing
    assert torch.allclose(p, q, rtol=1e-10)


def test_only_the_wanted_parameters_get_a_gradient():
    p, other = start(), start()
    step(adam([p], 0.1), quadratic(p) + quadratic(other), [p])
    assert other.grad is None
    assert torch.equal(other, start())
    assert not torch.equal(p, start())


def annealed(total: int = 10) -> tuple[nn.Parameter, torch.optim.Adam]:
    p = nn.Parameter(torch.zeros(2, 1))
    return p, adam([p], 0.5, cosine=total)


def moves(p: nn.Parameter, optimiser: torch.optim.Adam, n: int) -> list[float]:
    """How far n steps move the parameter. Under a constant gradient Adam moves by the step size itself."""
    found = []
    for _ in range(n):
        before = p[0, 0].item()
        step(optimiser, p.sum(1), [p])
        found.append(before - p[0, 0].item())
    return found


def test_a_cosine_falls_from_the_step_size_to_zero_and_stays_there():
    expected = [0.25 * (1 + math.cos(math.pi * t / 10)) for t in range(10)] + [0.0] * 5
    assert expected[0] == 0.5
    assert expected[5] == pytest.approx(0.25)
    assert moves(*annealed(), 15) == pytest.approx(expected, abs=1e-5)


def test_without_a_cosine_the_step_size_stays():
    p = nn.Parameter(torch.zeros(2, 1))
    assert moves(p, adam([p], 0.5), 15) == pytest.approx([0.5] * 15, abs=1e-5)


@pytest.mark.usefixtures("double")
def test_the_cosine_is_torchs_own_schedule():
    p, q = start(), start()
    mine, plain = adam([p], 0.05, cosine=12), torch.optim.Adam([q], lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(plain, 12)
    for _ in range(12):
        step(mine, quadratic(p), [p])
        q.grad = torch.autograd.grad(quadratic(q).sum(), q)[0]
        plain.step()
        schedule.step()
    assert torch.allclose(p, q, atol=1e-6)
    assert not torch.allclose(p, torch.ones_like(p), atol=1e-2)  # else this shows nothing


@pytest.mark.parametrize("before", [0, 1, 7])
def test_a_saved_optimiser_keeps_its_place_in_the_cosine(tmp_path, before):
    p, optimiser = annealed()
    moves(p, optimiser, before)
    save_tree(tmp_path / "c", {"optimiser": optimiser_state(optimiser)}, {})
    tree, _ = load_tree(tmp_path / "c")
    q, other = annealed()
    moves(q, other, 4)  # whatever it did before must not show
    load_optimiser_state(other, tree.get("optimiser", {}))
    with torch.no_grad():
        q.copy_(p)
    assert moves(q, other, 12) == moves(p, optimiser, 12)
    assert torch.equal(p, q)


def test_a_cosine_over_no_steps_is_refused():
    with pytest.raises(ConfigError, match="cannot fall over 0 updates"):
        adam([start()], 0.1, cosine=0)


@pytest.mark.usefixtures("cuda")
def test_the_cosine_on_cuda_is_that_on_the_cpu():
    found = []
    for device in ("cpu", "cuda"):
        p = nn.Parameter(torch.zeros(2, 1, device=device))
        found.append(moves(p, adam([p], 0.5, cosine=10), 15))
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def runs_of(rates: list[float], cosine: int | None = None):
    """A stack of three with these step sizes, and a single Adam for each."""
    p = nn.Parameter(torch.linspace(-1, 1, 36).view(3, 3, 4))
    singles = [nn.Parameter(p[s : s + 1].detach().clone()) for s in range(3)]
    return (
        p,
        adam([p], rates, cosine),
        singles,
        [adam([q], r, cosine) for q, r in zip(singles, rates, strict=True)],
    )


@pytest.mark.parametrize("cosine", [None, 6])
@pytest.mark.parametrize("rates", [[0.1, 0.01, 0.1], [0.1, 0.1, 0.02], [0.0, 0.1, 0.1]])
@pytest.mark.usefixtures("double")
def test_step_sizes_of_their_own_give_each_member_what_its_own_adam_would(rates, cosine):
    p, optimiser, singles, alone = runs_of(rates, cosine)
    for _ in range(5):
        step(optimiser, quadratic(p), [p])
        for q, o in zip(singles, alone, strict=True):
            step(o, quadratic(q), [q])
    assert torch.allclose(p, torch.cat(singles), rtol=1e-12)
    state = optimiser_state(optimiser)["0"]
    for name in ("exp_avg", "exp_avg_sq"):
        moments = torch.cat([optimiser_state(o)["0"][name] for o in alone])
        assert torch.allclose(state[name], moments, rtol=1e-12)
    assert state["step"] == optimiser_state(alone[0])["0"]["step"]


@pytest.mark.parametrize("rates", [[0.1, 0.01, 0.1], [0.1, 0.1, 0.1]])
def test_a_saved_stack_goes_on_as_it_would_have_whatever_its_step_sizes(rates, tmp_path):
    p, optimiser, _, _ = runs_of(rates)
    for _ in range(3):
        step(optimiser, quadratic(p), [p])
    save_tree(tmp_path / "c", {"p": p.detach(), "o": optimiser_state(optimiser)}, {})
    tree, _ = load_tree(tmp_path / "c")
    again, other, _, _ = runs_of(rates)
    step(other, quadratic(again), [again])  # what was there before is replaced
    with torch.no_grad():
        again.copy_(tree["p"])
    load_optimiser_state(other, tree["o"])
    for _ in range(2):
        step(optimiser, quadratic(p), [p])
        step(other, quadratic(again), [again])
    assert torch.equal(p, again)


def test_an_empty_state_is_the_one_before_the_first_step():
    p, optimiser, _, _ = runs_of([0.1, 0.01, 0.1])
    step(optimiser, quadratic(p), [p])
    load_optimiser_state(optimiser, {})
    fresh, other, _, _ = runs_of([0.1, 0.01, 0.1])
    with torch.no_grad():
        fresh.copy_(p)
    step(optimiser, quadratic(p), [p])
    step(other, quadratic(fresh), [fresh])
    assert torch.equal(p, fresh)


def test_the_state_of_step_sizes_of_their_own_is_live():
    p, optimiser, _, _ = runs_of([0.1, 0.01, 0.1])
    state = optimiser_state(optimiser)["0"]["exp_avg"]
    step(optimiser, quadratic(p), [p])
    assert state.abs().sum() > 0


def test_as_many_step_sizes_as_members():
    with pytest.raises(ConfigError, match="lr: 2 values for a stack of 3"):
        runs_of([0.1, 0.1])
