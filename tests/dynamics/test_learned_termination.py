import dataclasses

import pytest
import torch

from mbrl.core.errors import ConfigError, DataError, MismatchError
from mbrl.dynamics.learned_termination import LearnedTermination, fit_termination
from tests.fakes import random_transitions

QUICK = {"steps": 400, "progress": False}


def cliff(n=2000, at=1.5):
    """Rows that end where the first entry of next_obs exceeds `at`: about 7 in 100."""
    t = random_transitions(n)
    return dataclasses.replace(t, terminal=t.next_obs[:, 0] > at)


def test_finds_the_cliff():
    head, data = LearnedTermination(3, 2, hidden=(32,)), cliff()
    report = fit_termination(head, data, **QUICK | {"lr": 1e-2})
    ends = int(data.terminal.sum())
    assert report.hits[0] + report.misses[0] == int(0.2 * ends)
    assert report.holdout_rows == int(0.2 * ends) + int(0.2 * (2000 - ends))
    assert report.misses[0] <= 0.1 * (report.hits[0] + report.misses[0])
    assert report.false_alarms[0] < 0.05 * report.holdout_rows
    far = torch.zeros(1, 2, 3)
    far[0, 1, 0] = 3.0
    assert head(torch.zeros(1, 2, 3), torch.zeros(1, 2, 2), far).tolist() == [[False, True]]
    assert "missed" in report.summary()


def test_a_stack_equals_single_heads():
    data = cliff(400)
    stack = LearnedTermination(3, 2, seeds=(0, 1), hidden=(8,))
    together = fit_termination(stack, data, steps=30, progress=False)
    for s in range(2):
        head = LearnedTermination(3, 2, seeds=(s,), hidden=(8,))
        alone = fit_termination(head, data, steps=30, progress=False)
        assert alone.hits[0] == together.hits[s]
        for name, x in head.state_dict().items():
            torch.testing.assert_close(stack.state_dict()[name][s], x[0], rtol=1e-6, atol=1e-6)


def test_same_seed_same_bits():
    a, b = LearnedTermination(3, 2, hidden=(8,)), LearnedTermination(3, 2, hidden=(8,))
    for head in (a, b):
        fit_termination(head, cliff(400), steps=20, progress=False)
    assert all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("lead", [(5,), (1, 5), (4, 5)])
def test_one_head_serves_any_leading_axes(lead):
    head = LearnedTermination(3, 2)
    terminal = head(torch.zeros(*lead, 3), torch.zeros(*lead, 2), torch.zeros(*lead, 3))
    assert terminal.shape == lead
    assert terminal.dtype == torch.bool


def test_a_stack_of_other_size_is_refused():
    with pytest.raises(MismatchError, match="2 termination heads"):
        LearnedTermination(3, 2, seeds=(0, 1))(
            torch.zeros(3, 5, 3), torch.zeros(3, 5, 2), torch.zeros(3, 5, 3)
        )


def test_nan_is_left_to_the_model():
    x = torch.full((1, 1, 3), float("nan"))
    assert not LearnedTermination(3, 2)(x, torch.zeros(1, 1, 2), x).any()


@pytest.mark.parametrize(("flag", "name"), [(False, "0 terminal rows"), (True, "0 other rows")])
def test_needs_rows_of_both_kinds(flag, name):
    data = random_transitions(50)
    data = dataclasses.replace(data, terminal=torch.full((50,), flag))
    with pytest.raises(DataError, match=f"{name}.*'none'"):
        fit_termination(LearnedTermination(3, 2), data, **QUICK)


def test_other_dims_are_refused():
    with pytest.raises(MismatchError, match="3 obs and 2 actions"):
        fit_termination(LearnedTermination(3, 2), random_transitions(50, obs_dim=4), **QUICK)


@pytest.mark.parametrize("option", [{"steps": 0}, {"batch_size": 1}, {"lr": -1.0}], ids=str)
def test_impossible_options(option):
    with pytest.raises(ConfigError, match=next(iter(option))):
        fit_termination(LearnedTermination(3, 2), cliff(100), **(QUICK | option))
