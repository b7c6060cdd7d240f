import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrl.core.errors import ConfigError, DataError
from mbrl.core.seeds import Streams
from mbrl.datasets.split import holdout_split


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(2, 500),
    fraction=st.floats(0.01, 0.99),
    maximum=st.integers(1, 60),
    seeds=st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
)
def test_parts_are_disjoint_and_complete_for_every_seed(n, fraction, maximum, seeds):
    train, held = holdout_split(n, fraction=fraction, maximum=maximum, streams=Streams(seeds, "x"))
    assert held.shape == (len(seeds), max(1, min(int(fraction * n), maximum)))
    for s in range(len(seeds)):
        assert sorted([*train[s].tolist(), *held[s].tolist()]) == list(range(n))


def test_a_seed_gets_the_same_split_alone_and_in_a_stack():
    stacked = holdout_split(100, fraction=0.2, maximum=10, streams=Streams((3, 5), "x"))
    alone = holdout_split(100, fraction=0.2, maximum=10, streams=Streams((5,), "x"))
    for a, b in zip(stacked, alone, strict=True):
        assert torch.equal(a[1], b[0])
    assert not torch.equal(stacked[1][0], stacked[1][1])


@pytest.mark.parametrize(("fraction", "maximum"), [(0.0, 10), (1.0, 10), (-0.1, 10), (0.2, 0)])
def test_impossible_options(fraction, maximum):
    with pytest.raises(ConfigError, match="holdout_fraction.*holdout_max"):
        holdout_split(100, fraction=fraction, maximum=maximum, streams=Streams((0,), "x"))


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_rows(n):
    with pytest.raises(DataError, match=f"{n} rows"):
        holdout_split(n, fraction=0.2, maximum=10, streams=Streams((0,), "x"))
