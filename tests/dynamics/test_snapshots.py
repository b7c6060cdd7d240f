import pytest
import torch

from mbrl.dynamics.ensemble import Ensemble
from mbrl.dynamics.snapshots import Snapshots

INF = float("inf")


def stack():
    return Ensemble(1, 1, seeds=(0, 1), members=3, elites=2, hidden=(4,), weight_decay=(0, 0))


def mark(model, value):
    """Weights that tell which epoch they are from."""
    with torch.no_grad():
        for p in model.networks().values():
            p.fill_(value)


def test_keeps_each_members_best_and_ignores_gains_within_the_margin():
    model = stack()
    snapshots = Snapshots(model, improvement=0.01, patience=5)
    history = [
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]],
        [[0.5, 0.995, 2.0], [1.0, 0.9, float("nan")]],
        [[0.6, 0.98, 0.4], [0.98, 0.95, 0.95]],
    ]
    for epoch, mse in enumerate(history):
        mark(model, float(epoch))
        snapshots.update(torch.tensor(mse))
    mark(model, 99.0)
    snapshots.restore()
    # 0.995 is within 1 % of the best, 1.0, and 0.98 is not.
    want = torch.tensor([[1.0, 2.0, 2.0], [2.0, 1.0, 2.0]])
    for p in model.networks().values():
        assert torch.equal(p, want.view(2, 3, 1, 1).expand_as(p))
    torch.testing.assert_close(snapshots.mse, torch.tensor([[0.5, 0.98, 0.4], [0.98, 0.9, 0.95]]))
    assert model.elites.tolist() == [[2, 0], [1, 2]]


def test_a_seed_stops_after_its_patience_and_never_changes_again():
    model = stack()
    snapshots = Snapshots(model, improvement=0.01, patience=2)
    flat, falling = [1.0, 1.0, 1.0], [1.0, 1.0, 0.9]
    for epoch in range(6):
        mark(model, float(epoch))
        # Seed 0 improves at epoch 0 and, too late, at epoch 3; one member of seed 1 improves always.
        first = [0.1, 0.1, 0.1] if epoch >= 3 else flat
        snapshots.update(torch.tensor([first, [x * 0.9**epoch for x in falling]]))
        assert snapshots.running.tolist() == [epoch < 2, True]
    snapshots.restore()
    assert snapshots.epochs.tolist() == [3, 6]
    assert snapshots.mse[0].tolist() == flat
    for p in model.networks().values():
        assert set(p[0].flatten().tolist()) == {0.0}
        assert set(p[1].flatten().tolist()) == {5.0}


def test_restore_before_any_epoch_gives_the_initial_weights_and_the_first_members():
    model = stack()
    before = {k: p.clone() for k, p in model.networks().items()}
    snapshots = Snapshots(model, improvement=0.01, patience=5)
    mark(model, 3.0)
    snapshots.restore()
    assert all(torch.equal(before[k], p) for k, p in model.networks().items())
    assert model.elites.tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize("bad", [INF, float("nan")])
def test_a_hold_out_error_that_is_not_finite_is_no_improvement(bad):
    snapshots = Snapshots(stack(), improvement=0.01, patience=1)
    snapshots.update(torch.full((2, 3), bad))
    assert not snapshots.running.any()
    assert (snapshots.mse == INF).all()
