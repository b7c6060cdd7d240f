"""Treatments of the edge change the value a target bootstraps from at the last rollout step, and nowhere else."""

from dataclasses import replace

import pytest
import torch

from mbrl.agents import SAC
from mbrl.agents.edge import ConstantPenalty, OraclePatch, RecordedPatch, at_edge
from mbrl.core.errors import MismatchError
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions
from tests.fakes import random_transitions


def rows(steps, terminals):
    """One seed's rows of reward 1 at the given rollout steps."""
    n = len(steps)
    return Transitions(
        obs=torch.zeros(1, n, 3),
        action=torch.zeros(1, n, 2),
        reward=torch.ones(1, n),
        next_obs=torch.zeros(1, n, 3),
        terminal=torch.tensor([terminals]),
        timeout=torch.zeros(1, n, dtype=torch.bool),
        step=torch.tensor([steps]),
    )


class Tens:
    """An oracle that values every state at 10 and remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def value(self, policy, batch, where, streams):
        self.asked.append(where)
        return torch.full(batch.reward.shape, 10.0, dtype=torch.float64)


def test_the_edge_is_the_last_step_where_it_bootstraps():
    batch = rows([0, 1, 2, 3, 3], [False, False, False, False, True])
    assert at_edge(batch, 3).tolist() == [[False, False, False, True, False]]


def test_oracle_patch_replaces_the_value_at_the_edge_alone():
    batch, oracle = rows([0, 2, 3, 3], [False, False, False, True]), Tens()
    value = OraclePatch(oracle, 3)(None, batch, torch.full((1, 4), 2.5), None)
    assert value.dtype == torch.float32
    assert value.tolist() == [[2.5, 2.5, 10.0, 2.5]]
    assert oracle.asked[0].tolist() == [[False, False, True, False]]


def test_constant_penalty_lowers_the_value_at_the_edge_alone():
    batch = rows([0, 2, 3, 3], [False, False, False, True])
    value = ConstantPenalty(1.5, 3)(None, batch, torch.full((1, 4), 2.5), None)
    assert value.tolist() == [[2.5, 2.5, 1.0, 2.5]]


def test_a_cost_a_seed_is_taken_off_its_own_rows():
    one = rows([0, 2, 3, 3], [False, False, False, True])
    batch = one[torch.zeros(3, dtype=torch.int64)]
    value = torch.full((3, 4), 2.5)
    lowered = ConstantPenalty([1.5, 0.0, 0.1], 3)(None, batch, value, None)
    assert lowered[:2].tolist() == [[2.5, 2.5, 1.0, 2.5], [2.5, 2.5, 2.5, 2.5]]
    for place, cost in enumerate((1.5, 0.0, 0.1)):
        assert torch.equal(lowered[place], ConstantPenalty(cost, 3)(None, one, value[:1], None)[0])


def test_a_recorded_value_serves_at_the_edge_where_it_is_known():
    nan = torch.nan
    batch = replace(rows([3, 3, 2], [False] * 3), next_value=torch.tensor([[7.0, nan, 9.0]]))
    value = RecordedPatch(3)(None, batch, torch.full((1, 3), 2.5), None)
    assert value.tolist() == [[7.0, 2.5, 2.5]]


def test_rows_without_a_recorded_value_are_refused():
    with pytest.raises(MismatchError, match="oracle that records"):
        RecordedPatch(3)(None, rows([3], [False]), torch.zeros(1, 1), None)


def test_sac_bootstraps_from_the_treated_value():
    batch = rows([0, 3, 3], [False, False, True])
    agent = SAC(3, 2, hidden=(4,), gamma=0.9, edge=OraclePatch(Tens(), 3))
    plain = SAC(3, 2, hidden=(4,), gamma=0.9)
    y, untreated = (a.target(batch, Streams((0,), "x")) for a in (agent, plain))
    # 1 + 0.9 * 10 at the edge; a terminal row bootstraps from nothing; a real row is as it was
    assert y[0, 1].item() == pytest.approx(10.0)
    assert y[0, 2].item() == pytest.approx(1.0)
    assert y[0, 0].item() == untreated[0, 0].item()
    assert untreated[0, 1].item() != pytest.approx(10.0, abs=1.0)


@pytest.mark.parametrize("edge", [ConstantPenalty(0.0, 3), ConstantPenalty(5.0, 4)])
def test_a_treatment_that_touches_no_row_changes_no_bit(edge):
    batch = random_transitions(1, 8)
    batch = Transitions(**{**vars(batch), "step": torch.full((1, 8), 3)})
    agents = SAC(3, 2, hidden=(4, 4), edge=edge), SAC(3, 2, hidden=(4, 4))
    for agent in agents:
        agent.update(batch, Streams((0,), "x"))
    for a, b in zip(*(agent.critics.parameters() for agent in agents), strict=True):
        assert torch.equal(a, b)
