"""The split of an overestimate, where each part was put in by hand."""

import pytest
import torch

from mbrl.diagnose.origin import origin
from mbrl.diagnose.value_bias import value_bias
from tests.diagnose.worlds import GAMMA, SEEDS, Chain, Promises, Right, Soft, at, rolled

K, H = 3, 200
TRUE = 1 / (1 - GAMMA)
DATA = at(torch.zeros(5, 1))


def split(value, model=None, truth=None, agent=None, data=DATA):
    """Parts by name for critics that promise value(s), rolled out in `model` (the truth by default), of seed 0."""
    truth = truth or Chain()
    model = model or truth
    agent = agent or Promises(value=value)
    depths = rolled(model, Right(), data, K, 8, SEEDS)
    bias = value_bias(agent, truth, depths, SEEDS, horizon=H)
    found = origin(bias, depths, GAMMA, exact_model=model is truth)
    return {
        name: float(getattr(found, name).mean[0, 0]) for name in ("total", "edge", "model", "within", "gain")
    }


def consistent(parts):
    assert parts["total"] == pytest.approx(parts["edge"] + parts["model"] + parts["within"], abs=1e-6)
    kept = (1 - GAMMA**K) * parts["total"]
    assert kept == pytest.approx(parts["gain"] + parts["model"] + parts["within"], abs=1e-6)


def test_an_error_at_the_edge_backed_up_without_residual_is_all_the_edges():
    parts = split(lambda s: TRUE + 50 * GAMMA ** (K - s))
    consistent(parts)
    assert parts["total"] == pytest.approx(50 * GAMMA**K, abs=1e-4)
    assert parts["edge"] == pytest.approx(50 * GAMMA**K, abs=1e-4)
    assert parts["within"] == pytest.approx(0, abs=1e-4)
    assert parts["gain"] == pytest.approx(50 * GAMMA**K * (1 - GAMMA**K), abs=1e-4)


def test_an_offset_of_all_states_is_passed_on_but_fed_within_reach():
    parts = split(lambda s: TRUE + 20.0 + 0 * s)
    consistent(parts)
    assert parts["edge"] == pytest.approx(20 * GAMMA**K, abs=1e-4)
    assert parts["gain"] == pytest.approx(0, abs=1e-4)
    assert parts["within"] == pytest.approx(20 * (1 - GAMMA**K), abs=1e-4)


def test_a_residual_within_reach():
    parts = split(lambda s: TRUE + 7.0 * (s == 0))
    consistent(parts)
    assert parts["edge"] == pytest.approx(0, abs=1e-4)
    assert parts["within"] == pytest.approx(7, abs=1e-4)


def test_rewards_that_the_model_adds():
    """The model pays 1.5 for 1; the critics believe it for k steps and are right from there on."""
    extra = [0.5 * (1 - GAMMA ** (K - s)) / (1 - GAMMA) for s in range(K + 1)]
    parts = split(lambda s: TRUE + torch.tensor(extra)[s.long()], model=Chain(pay=1.5))
    consistent(parts)
    assert parts["model"] == pytest.approx(0.5 * (1 + GAMMA + GAMMA**2), abs=1e-4)
    assert parts["edge"] == pytest.approx(0, abs=1e-4)
    assert parts["within"] == pytest.approx(0, abs=1e-4)
    assert parts["total"] == pytest.approx(parts["model"], abs=1e-4)


def test_what_the_model_adds_is_counted_without_entropy():
    parts = split(None, model=Chain(pay=1.5), agent=Soft(value=lambda s: 9 + 0 * s))
    consistent(parts)
    assert parts["model"] == pytest.approx(0.5 * (1 + GAMMA + GAMMA**2), abs=1e-4)


def test_an_end_that_the_model_misses():
    """In truth the chain ends on reaching 2, so it pays 2 steps from 0; the model walks on, paying all the time."""
    true = 1 + GAMMA
    parts = split(lambda s: TRUE + 0 * s, model=Chain(), truth=Chain(end=2.0))
    consistent(parts)
    assert parts["total"] == pytest.approx(TRUE - true, abs=1e-4)
    # three steps in the model, then one step in truth from 3, which is the end
    assert parts["model"] == pytest.approx(1 + GAMMA + GAMMA**2 + GAMMA**3 - true, abs=1e-4)
    assert parts["edge"] == pytest.approx(GAMMA**3 * (TRUE - 1), abs=1e-4)


def test_a_rollout_that_ends_has_no_edge():
    parts = split(lambda s: torch.where(s == 1, 1.0, 1 + GAMMA) + 5.0 * (s == 0), truth=Chain(end=2.0))
    consistent(parts)
    assert parts["edge"] == 0
    assert parts["gain"] == pytest.approx(-(GAMMA**K) * 5, abs=1e-4)
    assert parts["within"] == pytest.approx(5, abs=1e-4)


def test_an_exact_soft_q_has_no_part_at_all():
    soft = TRUE + Soft.bonus * GAMMA / (1 - GAMMA)
    parts = split(None, agent=Soft(value=lambda s: soft + 0 * s))
    assert list(parts.values()) == pytest.approx([0] * 5, abs=1e-4)


def test_standard_errors_are_of_differences_a_rollout():
    """Starts differ by far more than what is measured: unpaired errors would drown it."""
    data = at(torch.arange(0.0, 500.0, 25.0).unsqueeze(-1))
    agent = Promises(value=lambda s: TRUE + s + 10 * ((s % 25) == K))
    depths = rolled(Chain(), Right(), data, K, 40, SEEDS)
    bias = value_bias(agent, Chain(), depths, SEEDS, horizon=H)
    found = origin(bias, depths, GAMMA, exact_model=True)
    offset = data.obs[depths.index, 0].double()
    gain = GAMMA**K * (10 + K) * torch.ones_like(offset)
    assert found.gain.mean[:, 0].tolist() == pytest.approx(gain.mean(-1).tolist(), rel=1e-4)
    assert (found.gain.error < 1e-4).all()
    assert (found.total.error > 10).all()
