"""Operation counts: by hand for small networks, and against what torch itself counts on our code."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mbrl.agents import SAC
from mbrl.bench.work import (
    ensemble_step_operations,
    gather_bytes,
    network_operations,
    product_operations,
    rollout_operations,
    training_operations,
    update_operations,
)
from mbrl.core.seeds import Streams
from mbrl.dynamics import Ensemble
from mbrl.dynamics.epochs import member_loss
from mbrl.run.rollout import rollout
from tests.fakes import random_transitions

ROWS, OBS, ACTION, HIDDEN = 256, 17, 6, (128, 96, 160)


def counted(run):
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def test_products_and_passes_by_hand():
    assert product_operations((2, 3, 5, 7)) == 2 * 2 * 3 * 5 * 7
    assert network_operations(10, (4, 3, 2)) == 2 * 10 * (4 * 3 + 3 * 2)
    # Forward 18, weights' gradients 18, and back from the last layer to the first one's output 6.
    assert training_operations(10, (4, 3, 2)) == 2 * 10 * (18 + 18 + 6)


def test_an_update_by_hand():
    sizes = {"critics": 5, "obs_dim": 3, "action_dim": 2, "hidden": (4, 6), "rows": 1}
    first, inner, head = 3 * 4, 4 * 6, 6 * 4  # the policy: 3 -> 4 -> 6 -> 2 means and 2 log-stds
    policy = (first + inner + head) * 2 + (inner + head) + (first + inner + head)
    up, down = 5 * 4 + inner, inner + 4 * 2  # a critic: (3 + 2) -> 4 -> 6, and from 6 down to the action
    # At the policy's action and of the targets: up. The regression: up, the weights' gradients, down to layer 1.
    plain = policy + down + 5 * (2 * up + up + up + inner)
    assert update_operations(diversity=False, **sizes) == 2 * plain
    # With diversity: up, down to the action, up again from there, and the weights' gradients.
    diverse = policy + down + 5 * (2 * up + up + down + down + up)
    assert update_operations(diversity=True, **sizes) == 2 * diverse


@pytest.mark.parametrize(("critics", "eta", "seeds"), [(4, 1.0, 1), (4, 0.0, 1), (5, 1.0, 2)])
def test_our_update_makes_hardly_more_products_than_are_counted(critics, eta, seeds):
    """Ours also takes the gradient at obs, which goes with the action's in one product: up to 1 %."""
    agent = SAC(OBS, ACTION, seeds=range(seeds), num_critics=critics, eta=eta, hidden=HIDDEN)
    batch = random_transitions(seeds, ROWS, obs_dim=OBS, action_dim=ACTION)
    found = counted(lambda: agent.update(batch, Streams(range(seeds), "t")))
    sizes = {"obs_dim": OBS, "action_dim": ACTION, "hidden": HIDDEN, "rows": ROWS}
    least = seeds * update_operations(critics=critics, diversity=eta != 0, **sizes)
    assert least <= found <= 1.01 * least


def test_an_ensemble_step_is_what_torch_counts():
    model = Ensemble(3, 2, members=4, elites=2, hidden=(8, 6), weight_decay=(0, 0, 0))
    inputs, targets = torch.randn(1, 4, 10, 5), torch.randn(1, 4, 10, 4)
    found = counted(lambda: member_loss(model, inputs, targets, 0.01)[0].sum().backward())
    assert found == ensemble_step_operations(members=4, rows=10, sizes=(5, 8, 6, 8))
    assert found == 2 * 4 * 10 * (2 * (5 * 8 + 8 * 6 + 6 * 8) + 8 * 6 + 6 * 8)


def test_a_rollout_is_what_torch_counts():
    model = Ensemble(3, 2, members=4, elites=2, hidden=(8, 6), weight_decay=(0, 0, 0))
    agent = SAC(3, 2, hidden=(16, 16))
    starts = random_transitions(1, 10)
    found = counted(lambda: rollout(model, agent, starts, 3, Streams((0,), "t")))
    assert found == rollout_operations(transitions=30, policy=(3, 16, 16, 4), model=(5, 8, 6, 8))


def test_gathered_bytes():
    assert gather_bytes(rows=5, row_bytes=7) == 70  # read and written
