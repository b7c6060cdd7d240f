"""Models handed out to seeds: the same predictions as before, and nothing shared that is trained."""

import pytest
import torch

from mbrl.core.errors import MismatchError
from mbrl.core.seeds import Streams
from mbrl.dynamics import Ensemble, fit
from mbrl.dynamics.per_seed import copy_per_seed
from tests.fakes import random_transitions

SMALL = {"members": 3, "elites": 2, "hidden": (8,), "weight_decay": (1e-4, 1e-4)}


def fitted(seeds: tuple[int, ...]) -> Ensemble:
    ensemble = Ensemble(3, 2, seeds=seeds, **SMALL)
    fit(ensemble, random_transitions(60), max_epochs=2, progress=False)
    return ensemble


@pytest.mark.parametrize("given", [(0,), (4, 1, 7)])
def test_every_seed_starts_from_the_fit(given):
    ensemble, seeds = fitted(given), (4, 1, 7)
    copy = copy_per_seed(ensemble, seeds)
    assert (copy.seeds, copy.elites.shape) == (seeds, (3, 2))
    batch = random_transitions(3, 5)
    for mine, theirs in zip(
        copy.predict(batch.obs, batch.action), ensemble.predict(batch.obs, batch.action), strict=True
    ):
        assert torch.allclose(mine.float(), theirs.float(), atol=1e-6)
    steps = [
        m.step(None, batch.obs, batch.action, Streams(seeds, "step"), members=True) for m in (copy, ensemble)
    ]
    assert torch.allclose(steps[0].next_obs, steps[1].next_obs, atol=1e-6)


def test_changing_the_copy_leaves_the_original_alone():
    ensemble = fitted((0,))
    before = {k: v.clone() for k, v in ensemble.state_dict().items()}
    copy = copy_per_seed(ensemble, (0, 1))
    with torch.no_grad():
        for p in copy.parameters():
            p[0].add_(1.0)
    assert all(torch.equal(v, before[k]) for k, v in ensemble.state_dict().items())
    assert torch.equal(copy.net.layers[0].weight[1], ensemble.net.layers[0].weight[0])


def test_a_stack_of_another_size_is_refused():
    with pytest.raises(MismatchError, match="2 stacked models cannot be shared out to 3 seeds"):
        copy_per_seed(Ensemble(3, 2, seeds=(0, 1), **SMALL), (0, 1, 2))
