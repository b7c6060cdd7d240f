"""Adam over stacks: a plain Adam a seed, parameters it was not given left alone, a state of plain tensors."""

import pytest
import torch
from torch import nn

from mbrl.agents.optim import adam, load_optimiser_state, norm_per_seed, optimiser_state, step
from mbrl.core.checkpoint import load_tree, save_tree


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


def test_norm_per_seed_by_hand():
    tensors = [torch.tensor([[3.0], [0.0]]), torch.tensor([[[4.0, 0.0]], [[5.0, 12.0]]])]
    assert norm_per_seed(tensors).tolist() == [5.0, 13.0]


@pytest.mark.parametrize("before", [0, 1, 5])
def test_a_saved_state_continues_bit_for_bit(tmp_path, before):
    p = start()
    optimiser = adam([p], 0.05)
    for _ in range(before):
        step(optimiser, quadratic(p), [p])
    save_tree(tmp_path / "c", {"p": p, "optimiser": optimiser_state(optimiser)}, {})
    tree, _ = load_tree(tmp_path / "c")
    q = nn.Parameter(tree["p"])
    other = adam([q], 0.05)
    load_optimiser_state(other, tree.get("optimiser", {}))
    for _ in range(5):
        step(optimiser, quadratic(p), [p])
        step(other, quadratic(q), [q])
    assert torch.equal(p, q)


def test_a_loaded_state_replaces_an_older_one_and_is_a_copy():
    p, q = start(), start()
    ahead, behind = adam([p], 0.05), adam([q], 0.05)
    for _ in range(3):
        step(ahead, quadratic(p), [p])
    load_optimiser_state(behind, optimiser_state(ahead))
    step(behind, quadratic(q), [q])
    assert optimiser_state(ahead)["0"]["step"].item() == 3
    assert optimiser_state(behind)["0"]["step"].item() == 4
    load_optimiser_state(behind, {})
    assert optimiser_state(behind) == {}


def test_the_learning_rate_is_configuration_not_state():
    p = start()
    optimiser = adam([p], 0.05)
    step(optimiser, quadratic(p), [p])
    other = adam([start()], 0.2)
    load_optimiser_state(other, optimiser_state(optimiser))
    assert other.param_groups[0]["lr"] == 0.2
