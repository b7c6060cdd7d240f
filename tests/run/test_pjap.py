"""Prioritised rows: priorities by hand and by a loop, and what is drawn in proportion to them."""

import math

import pytest
import torch

from mbrl.core.errors import ConfigError
from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from mbrl.run.experience import MixedData
from mbrl.run.pjap import PJAP, draw_by_weight, joint_distance, priority
from tests.fakes import joint_transitions, random_transitions
from tests.simulated import SimulatedCuda

LAYOUT = Layout((2, 3), (1, 2))


class Constant:
    """Seed s takes the action values[s] in every entry that is not padding."""

    def __init__(self, *values: float) -> None:
        self.values = torch.tensor(values)

    def act(self, obs, streams=None):
        action = LAYOUT.action_mask() * torch.ones(*obs.shape[:-1], 2)
        return action * self.values.view(-1, 1, 1, 1)


def test_the_distance_is_a_mean_over_what_is_not_padding():
    action, other = torch.tensor([[0.5, 9.0], [0.0, 1.0]]), torch.tensor([[0.0, -9.0], [1.0, 0.0]])
    # |0.5 - 0|, |0 - 1|, |1 - 0|; the 9s are padding.
    assert joint_distance(action, other, LAYOUT.action_mask()).item() == pytest.approx(2.5 / 3)
    assert joint_distance(action[1], other[1]).item() == 1.0


def test_the_priority_falls_as_a_bell_to_the_floor():
    found = priority(torch.tensor([0.0, 0.25, 0.5, 2.0]), 4.0, 0.01)
    assert found.tolist() == pytest.approx([1.0, math.exp(-1), math.exp(-4), 0.01])


def test_places_are_drawn_in_proportion_to_their_weights():
    weight = torch.tensor([[1.0, 0.0, 3.0], [0.0, 0.0, 2.0]])
    found = draw_by_weight(weight, 20_000, Streams((0, 1), "w"))
    assert (found[1] == 2).all()
    share = torch.bincount(found[0], minlength=3) / 20_000
    assert share[1] == 0
    assert share[0].item() == pytest.approx(0.25, abs=0.02)


def test_rows_near_the_policy_are_drawn_more_often_than_others():
    data = joint_transitions(LAYOUT, 4000)
    source = PJAP(data, entries=LAYOUT.action_mask(), steepness=4.0)
    rows, alive = source.draw(Constant(0.8, -0.8), 3000, Streams((0, 1), "p"))
    assert rows.obs.shape == (2, 3000, 2, 3)
    assert alive.all()
    assert (rows.step == 1).all()
    own = rows.action[:, :, LAYOUT.action_mask()].mean((1, 2))
    assert own[0] > 0.3
    assert own[1] < -0.3
    metrics = source.metrics()
    assert (metrics["source/drawn_distance"] < 0.7 * metrics["source/data_distance"]).all()
    gap = (rows.action - Constant(0.8, -0.8).act(rows.obs))[:, :, LAYOUT.action_mask()]
    expected = gap.square().mean((1, 2)).sqrt()
    assert torch.allclose(metrics["source/action_distance"], expected)


def test_it_draws_what_a_loop_over_rows_weighs():
    data, policy = joint_transitions(LAYOUT, 50), Constant(0.5)
    weights = []
    for i in range(50):
        gaps = [abs(data.action[i, n, a].item() - 0.5) for n, a in ((0, 0), (1, 0), (1, 1))]
        weights.append(max(math.exp(-((4.0 * sum(gaps) / 3) ** 2)), 0.01))
    expected = torch.tensor(weights) / sum(weights)
    rows, _ = PJAP(data, entries=LAYOUT.action_mask()).draw(policy, 100_000, Streams((0,), "p"))
    place = (rows.reward[0].unsqueeze(-1) == data.reward).int().argmax(-1)
    assert torch.allclose(torch.bincount(place, minlength=50) / 100_000, expected, atol=0.005)


def test_without_steepness_every_row_is_as_likely():
    data = random_transitions(20)
    source = PJAP(data, steepness=0.0)

    class Still:
        def act(self, obs, streams=None):
            return torch.zeros(*obs.shape[:-1], 2)

    rows, _ = source.draw(Still(), 40_000, Streams((0,), "p"))
    place = (rows.reward[0].unsqueeze(-1) == data.reward).int().argmax(-1)
    assert torch.allclose(torch.bincount(place, minlength=20) / 40_000, torch.tensor(0.05), atol=0.006)


def test_a_seed_draws_the_same_alone_and_in_a_stack():
    data = joint_transitions(LAYOUT, 100)
    both, _ = PJAP(data, entries=LAYOUT.action_mask()).draw(Constant(0.2, -0.4), 30, Streams((3, 4), "p"))
    alone, _ = PJAP(data, entries=LAYOUT.action_mask()).draw(Constant(-0.4), 30, Streams((4,), "p"))
    assert torch.equal(both.action[1], alone.action[0])


def test_it_feeds_the_loop_as_any_source_does():
    data = joint_transitions(LAYOUT, 100)
    source = PJAP(data, entries=LAYOUT.action_mask())
    experience = MixedData(data, source, batch_size=16, real_ratio=0.5, starts=40, retain=1, refresh_every=5)
    metrics = experience.refresh(Constant(0.2, -0.4), Streams((0, 1), "r"))
    assert metrics["source/alive"].tolist() == [1, 1]
    assert experience.sample(Streams((0, 1), "s")).action.shape == (2, 16, 2, 2)


@pytest.mark.parametrize(("steepness", "floor"), [(-1.0, 0.01), (1.0, 0.0), (1.0, 2.0)])
def test_impossible_shapes_of_the_priority_are_refused(steepness, floor):
    with pytest.raises(ConfigError, match="steepness="):
        PJAP(random_transitions(5), steepness=steepness, floor=floor)


def test_on_a_device_no_sum_depends_on_the_order_of_its_terms(cuda):
    weight = torch.rand(1, 1000, generator=torch.Generator().manual_seed(0))
    there = draw_by_weight(weight.cuda(), 50, Streams((3,), "s", "cuda"))
    assert there.shape == (1, 50)
    if isinstance(cuda, SimulatedCuda):
        assert cuda.loose == []


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_only_proportions_of_weights_matter(scale):
    weight = torch.tensor([[1.0, 2.0, 5.0, 0.0]], dtype=torch.float64)
    found = draw_by_weight(scale * weight, 100, Streams((3,), "s"))
    assert torch.equal(found, draw_by_weight(weight, 100, Streams((3,), "s")))
    assert found.max() == 2
