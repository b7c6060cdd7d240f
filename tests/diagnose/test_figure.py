"""Means and standard errors, against hand arithmetic and numpy."""

import math

import numpy as np
import pytest
import torch

from mbrl.diagnose.figure import by_step, over


def test_hand_arithmetic():
    x = torch.tensor([[1.0, 3.0, 100.0], [2.0, 2.0, 5.0]])
    where = torch.tensor([[True, True, False], [True, True, True]])
    found = over([x], [where])
    assert found.mean.tolist() == [[2.0], [3.0]]
    assert found.count.tolist() == [[2.0], [3.0]]
    # deviations 1, 1: variance 2 / 1, error sqrt(2 / 2); then 1, 1, 2: variance 6 / 2, error sqrt(3 / 3)
    assert found.error.flatten().tolist() == pytest.approx([1.0, 1.0])


def test_against_numpy_by_step():
    g = torch.Generator().manual_seed(0)
    x, step = torch.randn(3, 60, generator=g), torch.randint(1, 5, (3, 60), generator=g)
    where = torch.rand(3, 60, generator=g) < 0.7
    found = by_step(x, where, step, 4)
    assert len(found) == 4
    for s in range(3):
        for t in range(4):
            chosen = x[s][where[s] & (step[s] == t + 1)].double().numpy()
            assert float(found.mean[s, t]) == pytest.approx(chosen.mean(), rel=1e-6)
            error = chosen.std(ddof=1) / math.sqrt(len(chosen))
            assert float(found.error[s, t]) == pytest.approx(error, rel=1e-6)
            assert float(found.count[s, t]) == len(chosen)


def test_too_few_rows_are_nan_and_nothing_else_leaks_in():
    x = torch.tensor([[4.0, np.nan, np.inf]])
    one = over([x, x], [torch.tensor([[True, False, False]]), torch.zeros(1, 3, dtype=torch.bool)])
    assert one.mean[0, 0] == 4.0
    assert one.error.isnan().all()
    assert one.mean[0, 1].isnan()
    assert one.count.tolist() == [[1.0, 0.0]]
