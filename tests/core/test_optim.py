"""An optimiser's state goes to a file and back bit for bit; norms are each seed's own."""

import pytest
import torch
from torch import nn

from mbrl.core.checkpoint import load_tree, save_tree
from mbrl.core.optim import load_optimiser_state, norm_per_seed, optimiser_state


def start() -> nn.Parameter:
    return nn.Parameter(torch.linspace(-1, 1, 24).view(2, 3, 4))


def adam(p: nn.Parameter, lr: float = 0.05) -> torch.optim.Adam:
    return torch.optim.Adam([p], lr=lr, fused=True)


def step(optimiser: torch.optim.Adam, p: nn.Parameter) -> None:
    p.grad = 2 * (p.detach() - 1)
    optimiser.step()


def test_norm_per_seed_by_hand():
    tensors = [torch.tensor([[3.0], [0.0]]), torch.tensor([[[4.0, 0.0]], [[5.0, 12.0]]])]
    assert norm_per_seed(tensors).tolist() == [5.0, 13.0]


@pytest.mark.parametrize("before", [0, 1, 5])
def test_a_saved_state_continues_bit_for_bit(tmp_path, before):
    p = start()
    optimiser = adam(p)
    for _ in range(before):
        step(optimiser, p)
    save_tree(tmp_path / "c", {"p": p, "optimiser": optimiser_state(optimiser)}, {})
    tree, _ = load_tree(tmp_path / "c")
    q = nn.Parameter(tree["p"])
    other = adam(q)
    load_optimiser_state(other, tree.get("optimiser", {}))
    for _ in range(5):
        step(optimiser, p)
        step(other, q)
    assert torch.equal(p, q)


def test_a_loaded_state_replaces_an_older_one_and_is_a_copy():
    p, q = start(), start()
    ahead, behind = adam(p), adam(q)
    for _ in range(3):
        step(ahead, p)
    load_optimiser_state(behind, optimiser_state(ahead))
    step(behind, q)
    assert optimiser_state(ahead)["0"]["step"].item() == 3
    assert optimiser_state(behind)["0"]["step"].item() == 4
    load_optimiser_state(behind, {})
    assert optimiser_state(behind) == {}


def test_the_learning_rate_is_configuration_not_state():
    p = start()
    optimiser = adam(p)
    step(optimiser, p)
    other = adam(start(), 0.2)
    load_optimiser_state(other, optimiser_state(optimiser))
    assert other.param_groups[0]["lr"] == 0.2
