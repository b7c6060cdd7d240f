"""The rules for the last row of an episode, each on the smallest case."""

import torch

from mbrl.datasets import from_arrays
from tests.datasets.layouts import Episode, columns


def sparse(successors: bool):
    """Two episodes of a sparse task: the only reward is at the goal, which is terminal."""
    data = columns(
        [Episode(3, "terminal"), Episode(3, "timeout")], () if successors else ("next_observations",)
    )
    data["rewards"] = data["terminals"].astype(float)
    return from_arrays(**data)


def test_a_sparse_reward_at_a_terminal_survives():
    for successors in (True, False):
        rows = sparse(successors).transitions
        assert rows.reward.sum() == 1
        assert rows.terminal[rows.reward == 1].all()


def test_models_see_only_recorded_successors():
    dataset = sparse(successors=False)
    assert len(dataset) == 5
    assert dataset.successor_known.tolist() == [True, True, False, True, True]
    rows = dataset.with_successor()
    assert len(rows) == 4
    assert (rows.next_obs != rows.obs).any(-1).all()
    assert len(sparse(successors=True).with_successor()) == 6


def test_terminal_and_timeout_on_one_row_keeps_both():
    rows = from_arrays(**columns([Episode(2, "both")], ("next_observations",))).transitions
    assert rows.terminal.tolist() == rows.timeout.tolist() == [False, True]


def test_real_rows_have_rollout_step_zero():
    rows = sparse(successors=True).transitions
    assert rows.step.dtype == torch.int64
    assert not rows.step.any()
