import pytest
import torch

from mbrl.core.errors import DataError
from mbrl.datasets.normaliser import STD_FLOOR, Normaliser


def test_mean_and_population_std_by_hand():
    n = Normaliser((1,), 2)
    n.fit(torch.tensor([[1.0, 10.0], [3.0, 10.0], [5.0, 40.0], [7.0, 40.0]]))
    torch.testing.assert_close(n.mean, torch.tensor([[[4.0, 25.0]]]))
    torch.testing.assert_close(n.std, torch.tensor([[[5.0**0.5, 15.0]]]))
    torch.testing.assert_close(n(torch.tensor([[[4.0, 10.0]]])), torch.tensor([[[0.0, -1.0]]]))


def test_is_the_identity_before_it_is_fitted():
    x = torch.randn(2, 5, 3)
    assert torch.equal(Normaliser((2,), 3)(x), x)


def test_near_constant_columns_do_not_explode():
    x = torch.randn(100, 3)
    x[:, 1] = 0.5
    x[:, 2] = 7.0 + 1e-7 * x[:, 2]
    n = Normaliser((1,), 3)
    n.fit(x)
    assert n.std[0, 0, 1:].tolist() == pytest.approx([STD_FLOOR, STD_FLOOR])
    moved = x[:1, None] + torch.tensor([0.0, 0.007, 0.007])  # what a model with log-variance -10 adds to it
    assert n(moved)[..., 1:].abs().max() < 1


def test_each_seed_takes_its_own_rows():
    x = torch.randn(50, 2) * 3 + 1
    rows = torch.stack([torch.arange(25), torch.arange(25, 50)])
    stacked = Normaliser((2, 1), 2)
    stacked.fit(x, rows)
    for s in range(2):
        alone = Normaliser((1,), 2)
        alone.fit(x[rows[s]])
        assert torch.equal(stacked.mean[s, 0], alone.mean[0])
        assert torch.equal(stacked.std[s, 0], alone.std[0])


def test_large_offsets_keep_their_digits():
    x = 1e4 + torch.randn(10_000, 1)
    n = Normaliser((1,), 1)
    n.fit(x)
    assert n.std.item() == pytest.approx(x.double().std(correction=0).item(), rel=1e-6)


def test_state_survives_saving():
    n, other = Normaliser((1,), 3), Normaliser((1,), 3)
    n.fit(torch.randn(9, 3))
    other.load_state_dict(n.state_dict())
    x = torch.randn(1, 4, 3)
    assert torch.equal(n(x), other(x))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_names_the_column_that_is_not_finite(bad):
    x = torch.zeros(5, 3)
    x[2, 1] = bad
    with pytest.raises(DataError, match="column 1"):
        Normaliser((1,), 3).fit(x)


@pytest.mark.parametrize("shape", [(0, 3), (5, 2), (5,), (2, 5, 3)])
def test_refuses_other_shapes(shape):
    with pytest.raises(DataError, match="3"):
        Normaliser((1,), 3).fit(torch.zeros(*shape))
