"""Which arithmetic the products take, and what stays as it was."""

import pytest
import torch

from mbrl.agents import SAC
from mbrl.agents.networks import Critics
from mbrl.core.errors import ConfigError
from mbrl.core.nets import StackedMLP
from mbrl.core.precision import lower_products, set_product_precision
from mbrl.core.seeds import Streams
from mbrl.dynamics import Ensemble
from tests.fakes import random_transitions


def net() -> StackedMLP:
    return StackedMLP((2,), (3, 16, 4), Streams([0, 1], "t"))


def test_bf16_products_round_and_nothing_else_changes():
    plain, low = net(), net()
    lower_products(low, "bf16")
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    exact, rounded = plain(x), low(x)
    assert rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    assert torch.allclose(exact, rounded, atol=0.02)
    h = torch.relu(x.bfloat16() @ low.layers[0].weight.bfloat16() + low.layers[0].bias.bfloat16())
    by_hand = h @ low.layers[1].weight.bfloat16() + low.layers[1].bias.bfloat16()
    assert torch.allclose(rounded, by_hand.float(), atol=0.01)
    assert all(p.dtype == torch.float32 for p in low.parameters())
    lower_products(low, "float32")
    assert torch.equal(low(x), exact)


@pytest.mark.parametrize("hidden", [(16, 16), (256, 256)])  # the second takes the grouped way on a CPU
def test_critics_train_in_bf16_near_where_they_would(hidden):
    logs = []
    for precision in ("float32", "bf16"):
        agent = SAC(3, 2, seeds=(0, 1), num_critics=4, eta=1.0, hidden=hidden)
        lower_products(agent.critics, precision)
        lower_products(agent.targets, precision)
        streams, batch = Streams((0, 1), "train"), random_transitions(2, 128, seed=0)
        logs.append([agent.update(batch, streams) for _ in range(4)])
        assert all(p.dtype == torch.float32 for p in agent.critics.parameters())
    # The first update alone: Adam's first steps have the size of a sign, so later ones part at once.
    for name, value in logs[0][0].items():
        # Directions of small action gradients are what rounding disturbs most.
        rtol = 0.3 if name.endswith("gradient_norm") else 0.1
        assert torch.allclose(value, logs[1][0][name], rtol=rtol, atol=0.05), name
    assert all(v.isfinite().all() for log in logs[1] for v in log.values())
    assert not torch.equal(logs[0][0]["critic/loss"], logs[1][0]["critic/loss"])


def test_an_ensemble_predicts_in_bf16_near_what_it_would():
    models = [Ensemble(3, 2, hidden=(16, 16), weight_decay=(0.0,) * 3) for _ in range(2)]
    lower_products(models[1], "bf16")
    rows = random_transitions(1, 64, seed=0)
    steps = [m.step(None, rows.obs, rows.action, Streams([0], "s")) for m in models]
    assert steps[1].next_obs.dtype == torch.float32
    assert torch.allclose(steps[0].next_obs, steps[1].next_obs, atol=0.05)
    assert not torch.equal(steps[0].next_obs, steps[1].next_obs)


def test_a_saved_network_does_not_remember_its_precision():
    low = Critics(3, 2, 2, (8,), Streams([0], "t"))
    before = set(low.state_dict())
    lower_products(low, "bf16")
    assert set(low.state_dict()) == before


@pytest.mark.parametrize(
    ("precision", "message"),
    [
        ("fp16", r"unknown train\.precision 'fp16'"),
        ("tf32", r"train\.precision=tf32 is a format of CUDA devices; this run is on cpu"),
    ],
)
def test_what_cannot_be_had_is_an_error(precision, message):
    with pytest.raises(ConfigError, match=message):
        set_product_precision(precision, "cpu")


def test_float32_products_are_exact_unless_asked_otherwise():
    set_product_precision("bf16", "cpu")
    assert torch.get_float32_matmul_precision() == "highest"
