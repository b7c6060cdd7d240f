"""Streams: what a seed draws depends on the seed and the purpose alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrl.core.seeds import Streams, child_seed

DRAWS = {
    "randn": lambda s: s.randn(5, 3),
    "rand": lambda s: s.rand(17),
    "scalar": lambda s: s.rand(),
    "double": lambda s: s.randn(4, dtype=torch.float64),
    "randint": lambda s: s.randint(10, 6),
    "permutation": lambda s: s.permutation(9),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_draws_the_same_alone_or_in_any_stack(name):
    draw = DRAWS[name]
    alone, first, last = Streams([7], "x"), Streams([7, 1, 2], "x"), Streams([3, 7], "x")
    for _ in range(3):  # again and again, so that states advance alike
        expected = draw(alone)[0]
        assert torch.equal(draw(first)[0], expected)
        assert torch.equal(draw(last)[1], expected)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=4, unique=True), st.integers(1, 40))
def test_any_stack_is_its_singles(seeds, n):
    stacked = Streams(seeds, "p").randn(n)
    assert stacked.shape == (len(seeds), n)
    for i, seed in enumerate(seeds):
        assert torch.equal(stacked[i], Streams([seed], "p").randn(n)[0])


def test_seeds_and_purposes_differ():
    draws = [Streams([s], p).randn(4) for s in (0, 1) for p in ("train", "probe")]
    assert len(torch.cat(draws).unique(dim=0)) == 4


def test_child_seeds_of_different_names_differ_and_never_change():
    names = [child_seed(seed, *name) for seed in range(50) for name in [(), ("a",), ("b",), ("a", "b")]]
    assert len(set(names)) == len(names)
    assert all(0 <= n < 2**63 for n in names)
    assert child_seed(0, "train") == child_seed(0, "train")
    assert child_seed(3, "a", "b") != child_seed(3, "b", "a")


def test_streams_of_different_purposes_are_uncorrelated():
    a, b = Streams(range(20), "a").randn(2000).flatten(), Streams(range(20), "b").randn(2000).flatten()
    assert torch.corrcoef(torch.stack([a, b]))[0, 1].abs() < 0.02  # four standard errors of 40 000 pairs


def test_randint_reaches_every_value_and_never_high():
    draws = Streams([0, 1], "i").randint(7, 5000)
    assert draws.dtype == torch.int64
    for row in draws:
        counts = row.bincount(minlength=7)
        assert len(counts) == 7
        chi2 = ((counts - 5000 / 7).square() / (5000 / 7)).sum()
        assert chi2 < 22.5  # 0.1 % tail of 6 degrees of freedom


def test_randint_takes_a_bound_a_seed():
    draws = Streams([0, 1, 2], "i").randint(torch.tensor([1, 3, 100]), 4, 500)
    assert draws.shape == (3, 4, 500)
    assert draws[0].unique().tolist() == [0]
    assert draws[1].unique().tolist() == [0, 1, 2]
    assert 95 < draws[2].max() < 100


def test_randint_is_the_floor_of_a_uniform_whatever_the_bound_is_given_as():
    u = Streams([4], "i").rand(1000, dtype=torch.float64)
    for high in (3, 2**31 - 1):
        expected = (u * high).floor().long()
        assert torch.equal(Streams([4], "i").randint(high, 1000), expected)
        assert torch.equal(Streams([4], "i").randint(torch.tensor([high]), 1000), expected)


def test_randint_stays_below_high_for_the_largest_uniform():
    streams = Streams([0], "i")
    streams.rand = lambda *shape, dtype: torch.full((1, *shape), 1 - 2**-53, dtype=dtype)
    for high in (1, 2, 3, 49, 10**6 + 3, 2**31, 2**53 - 1):
        assert streams.randint(high, 2).tolist() == [[high - 1, high - 1]]


def test_permutation_is_one():
    for row in Streams([0, 1], "p").permutation(100):
        assert row.sort().values.tolist() == list(range(100))
    assert len(Streams(range(5), "p").permutation(10).unique(dim=0)) == 5


def test_uniforms_lie_in_the_half_open_interval():
    for dtype in (torch.float32, torch.float64):
        u = Streams([0], "u").rand(100_000, dtype=dtype)
        assert u.dtype == dtype
        assert u.min() >= 0
        assert u.max() < 1
        assert u.mean().item() == pytest.approx(0.5, abs=0.004)


def test_a_saved_state_continues_the_same_draws():
    streams = Streams([0, 1], "s")
    streams.randn(3)
    state = streams.state_dict()
    expected = [streams.randn(7), streams.randint(5, 4), streams.permutation(6)]
    other = Streams([0, 1], "s")
    other.load_state_dict(state)
    for want, got in zip(expected, [other.randn(7), other.randint(5, 4), other.permutation(6)], strict=True):
        assert torch.equal(want, got)


def test_a_state_of_another_number_of_seeds_is_refused():
    with pytest.raises(ValueError, match="zip"):
        Streams([0, 1], "s").load_state_dict(Streams([0], "s").state_dict())


@pytest.mark.usefixtures("cuda")
def test_streams_on_cuda_draw_there_and_stack_alike():
    alone, stacked = Streams([7], "x", "cuda"), Streams([3, 7], "x", "cuda")
    for draw in DRAWS.values():
        a, b = draw(alone), draw(stacked)
        assert a.is_cuda
        assert torch.equal(a[0], b[1])


def test_spawned_streams_cost_one_draw_and_depend_on_their_seed_alone():
    parent, same, alone = Streams((1, 2), "a"), Streams((1, 2), "a"), Streams((2,), "a")
    child, single = parent.spawn("task"), alone.spawn("task")
    same.spawn("task").randn(1000)
    assert torch.equal(parent.randn(3), same.randn(3))
    assert torch.equal(child.randn(5)[1], single.randn(5)[0])
    assert not torch.equal(parent.spawn("task").randn(5), child.randn(5))


def test_a_part_draws_what_its_members_would_and_the_others_stand_still():
    streams, twins = Streams((5, 8, 5, 2), "a"), [Streams((s,), "a") for s in (5, 8, 5, 2)]
    for name, draw in DRAWS.items():
        drawn = draw(streams.part([3, 0]))
        for row, place in zip(drawn, (3, 0), strict=True):
            assert torch.equal(row, draw(twins[place])[0]), name
    assert streams.part([3, 0]).seeds == (2, 5)
    after = streams.randn(4)
    assert all(torch.equal(after[place], twins[place].randn(4)[0]) for place in range(4))
