"""Values by step on a chain where the state is its depth; shares of targets by counting."""

from dataclasses import replace

import pytest
import torch

from mbrl.core.seeds import Streams
from mbrl.diagnose import edge_of_reach
from mbrl.diagnose.edge_of_reach import describe, propagation, target_share, targets_by_step, values_by_step
from mbrl.run.rollout import rollout
from tests.diagnose.worlds import SEEDS, Chain, Promises, Right, at

K = 3


def rolled(end=float("inf"), n=6):
    starts = at(torch.zeros(2, n, 1).flatten(0, 1))[torch.arange(2 * n).view(2, n)]
    return rollout(Chain(end=end), Right(), starts, K, Streams(SEEDS, "r"))


def test_four_figures_over_critics_by_hand():
    q = torch.tensor([1.0, 2.0, 6.0]).view(1, 3, 1)
    found = {name: float(x) for name, x in describe(q).items()}
    assert found == pytest.approx({"q_mean": 3, "q_min": 1, "q_std": (14 / 3) ** 0.5, "penalty": 2})


def test_own_states_are_one_step_behind_successors():
    agent = Promises(value=lambda s: 10 * s, offsets=(0.0, 3.0, -6.0))
    rows, alive = rolled()
    found = values_by_step(agent, rows, alive, torch.zeros(2, 4, 1), K)
    for s, scale in enumerate((1, 2)):
        assert found["data"]["q_mean"].mean[s].tolist() == [-scale]
        assert found["own"]["q_mean"].mean[s].tolist() == [10 * d - scale for d in (0, 1, 2)]
        assert found["successor"]["q_mean"].mean[s].tolist() == [10 * d - scale for d in (1, 2, 3)]
        assert found["successor"]["q_min"].mean[s].tolist() == [10 * d - 6 * scale for d in (1, 2, 3)]
        assert found["own"]["penalty"].mean[s].tolist() == [5 * scale] * 3
    assert found["own"]["q_std"].mean[0, 0] == pytest.approx(14**0.5)


def test_terminal_successors_are_not_bootstrapped_from():
    rows, alive = rolled(end=2.0)
    found = values_by_step(Promises(), rows, alive, torch.zeros(2, 4, 1), K)
    assert found["own"]["q_mean"].count.tolist() == [[6, 6, 0]] * 2
    assert found["successor"]["q_mean"].count.tolist() == [[6, 0, 0]] * 2
    assert found["successor"]["q_mean"].mean[:, 1:].isnan().all()


class Targets(Promises):
    def target(self, batch, streams):
        return batch.obs[..., 0] + 100 * batch.step


def test_targets_by_step_in_any_chunks(monkeypatch):
    rows, alive = rolled()
    whole = targets_by_step(Targets(), rows, alive, K, Streams(SEEDS, "t"))
    assert whole.mean.tolist() == [[100, 201, 302]] * 2
    monkeypatch.setattr(edge_of_reach, "CHUNK", 5)
    parts = targets_by_step(Targets(), rows, alive, K, Streams(SEEDS, "t"))
    assert torch.equal(whole.mean, parts.mean)
    small = values_by_step(Promises(value=lambda s: s), rows, alive, torch.zeros(2, 7, 1), K)
    assert small["own"]["q_min"].mean.tolist() == [[0, 1, 2]] * 2
    assert small["data"]["q_min"].count.tolist() == [[7], [7]]


def test_share_without_terminals_is_one_in_k():
    rows, alive = rolled()
    found = target_share(rows, alive, K, torch.zeros(10, dtype=torch.bool), real_share=0.25)
    assert found["synthetic"].tolist() == pytest.approx([1 / 3] * 2)
    assert found["batch"].tolist() == pytest.approx([0.75 / 3] * 2)


def test_share_by_counting_rows():
    rows, alive = rolled()
    # of seed 0, one row of step 3 is void and two of step 1 are terminal: 17 rows, 15 bootstrap, 5 from the edge
    alive[0, 12] = False
    terminal = rows.terminal.clone()
    terminal[0, :2] = True
    real = torch.tensor([True, False, False, False])
    found = target_share(replace(rows, terminal=terminal), alive, K, real, real_share=0.5)
    assert found["synthetic"].tolist() == pytest.approx([5 / 15, 1 / 3])
    assert found["batch"][0] == pytest.approx(0.5 * 5 / 17 / (0.5 * 15 / 17 + 0.5 * 0.75))


def test_an_error_at_the_edge_reaches_depth_t_through_targets():
    weights = propagation(0.9, K)
    # by hand, and by backing the error up one step at a time
    assert weights.tolist() == pytest.approx([0.729, 0.81, 0.9, 1.0])
    error = 1.0
    for t in reversed(range(K)):
        error = 0.9 * error
        assert float(weights[t]) == pytest.approx(error)
    assert propagation(0.9, 0).tolist() == [1.0]
