"""The synthetic buffer: a ring of refreshes, void rows never seen, uniform over what is alive."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrl.core.checkpoint import load_tree, save_tree
from mbrl.core.errors import DataError, MismatchError
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions
from mbrl.datasets.buffer import RefreshBuffer
from tests.fakes import random_transitions

VOID = -1.0


def block(refresh: int, alive: torch.Tensor) -> Transitions:
    """Rows whose reward and every other field name them: 10000 seed + 100 refresh + row; void rows are -1."""
    seeds, rows = alive.shape
    name = 10000 * torch.arange(seeds).unsqueeze(1) + 100.0 * refresh + torch.arange(rows)
    name = torch.where(alive, name, VOID)
    return replace(
        random_transitions(seeds, rows),
        obs=name.unsqueeze(-1).expand(seeds, rows, 3).clone(),
        next_obs=(name.unsqueeze(-1) + 0.25).expand(seeds, rows, 3).clone(),
        reward=name,
        step=name.long(),
        terminal=name.long() % 2 == 0,
    )


def full(seeds: int, rows: int) -> torch.Tensor:
    return torch.ones(seeds, rows, dtype=torch.bool)


def names(buffer: RefreshBuffer, seeds: int, n: int = 2000) -> list[set[float]]:
    """The rows that sampling can reach, a set a seed."""
    sample = buffer.sample(n, Streams(range(seeds), "sample"))
    return [set(row.tolist()) for row in sample.reward]


def test_it_keeps_the_last_blocks_and_replaces_the_oldest():
    buffer = RefreshBuffer(retain=3, rows=4)
    for refresh in range(8):
        buffer.add(block(refresh, full(2, 4)), full(2, 4))
        kept = range(max(0, refresh - 2), refresh + 1)
        for seed, found in enumerate(names(buffer, 2)):
            assert found == {10000.0 * seed + 100 * r + row for r in kept for row in range(4)}
        assert buffer.size.tolist() == [4 * len(kept)] * 2
    assert buffer.storage.reward.shape == (2, 3, 4)  # the capacity never grew


def test_fields_of_a_row_stay_together():
    buffer, alive = RefreshBuffer(2, 5), torch.rand(2, 5, generator=torch.Generator().manual_seed(0)) < 0.6
    buffer.add(block(0, alive), alive)
    sample = buffer.sample(300, Streams((0, 1), "sample"))
    assert torch.equal(sample.obs, sample.reward.unsqueeze(-1).expand_as(sample.obs))
    assert torch.equal(sample.next_obs, sample.obs + 0.25)
    assert torch.equal(sample.step, sample.reward.long())
    assert torch.equal(sample.terminal, sample.step % 2 == 0)


MASK = st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=2, max_size=2)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), st.lists(MASK, min_size=1, max_size=5))
def test_exactly_the_alive_rows_of_the_blocks_kept_can_be_sampled(retain, masks):
    buffer = RefreshBuffer(retain, 4)
    for refresh, mask in enumerate(masks):
        alive = torch.tensor(mask)
        buffer.add(block(refresh, alive), alive)
    kept = list(enumerate(masks))[-retain:]
    for seed, found in enumerate(names(buffer, 2, 600)):
        expected = {10000.0 * seed + 100 * r + i for r, mask in kept for i in range(4) if mask[seed][i]}
        assert buffer.size[seed].item() == len(expected)
        if expected:  # a seed without any row is the trainer's to refuse
            assert found == expected


def test_sampling_is_uniform_over_alive_rows_however_they_lie_in_blocks():
    # 1, 0 and 5 alive rows in three blocks: each of the six must come up equally often
    buffer = RefreshBuffer(3, 5)
    for refresh, count in enumerate((1, 0, 5)):
        alive = (torch.arange(5) >= 5 - count).expand(2, 5)
        buffer.add(block(refresh, alive), alive)
    sample = buffer.sample(12_000, Streams((0, 1), "sample"))
    for row in sample.reward:
        counts = torch.unique(row, return_counts=True)[1].double()
        assert len(counts) == 6
        assert ((counts - 2000).square() / 2000).sum() < 20.5  # 0.1 % tail of 5 degrees of freedom


def test_counts_are_a_seeds_own():
    buffer = RefreshBuffer(2, 3)
    alive = torch.tensor([[True, False, False], [True, True, True]])
    buffer.add(block(0, alive), alive)
    assert buffer.size.tolist() == [1, 3]
    assert names(buffer, 2) == [{0.0}, {10000.0, 10001.0, 10002.0}]


def test_a_seed_samples_the_same_rows_in_any_stack():
    alive = torch.rand(3, 6, generator=torch.Generator().manual_seed(1)) < 0.7
    rows = block(0, alive)
    stacked, alone = RefreshBuffer(2, 6), RefreshBuffer(2, 6)
    stacked.add(rows, alive)
    alone.add(rows[1:2], alive[1:2])
    a, b = stacked.sample(50, Streams((5, 6, 7), "s")), alone.sample(50, Streams((6,), "s"))
    assert torch.equal(a.reward[1], b.reward[0])


def test_the_block_given_is_not_kept_by_reference():
    buffer, rows = RefreshBuffer(1, 4), block(0, full(1, 4))
    buffer.add(rows, full(1, 4))
    rows.reward.fill_(VOID)
    assert VOID not in names(buffer, 1)[0]


def test_types_a_simulator_state_and_a_known_value_are_kept():
    state = torch.rand(1, 4, 2, dtype=torch.float64)
    rows = replace(random_transitions(1, 4), sim_state=state, next_value=torch.rand(1, 4))
    buffer = RefreshBuffer(2, 4)
    buffer.add(rows, full(1, 4))
    sample = buffer.sample(3, Streams((0,), "s"))
    for name, value in vars(sample).items():
        assert value.dtype == getattr(rows, name).dtype
        assert value.shape[:2] == (1, 3)


def test_a_sample_may_have_no_rows():
    buffer = RefreshBuffer(1, 4)
    buffer.add(block(0, full(2, 4)), full(2, 4))
    assert buffer.sample(0, Streams((0, 1), "s")).obs.shape == (2, 0, 3)


def test_a_block_of_another_size_is_refused():
    with pytest.raises(DataError, match="a block holds 4 rows a seed, got 5"):
        RefreshBuffer(2, 4).add(block(0, full(1, 5)), full(1, 5))


def test_an_empty_buffer_says_so():
    with pytest.raises(DataError, match="the synthetic buffer is empty"):
        RefreshBuffer(2, 4).sample(1, Streams((0,), "s"))
    assert RefreshBuffer(2, 4).state_dict() == {}


@pytest.mark.parametrize("refreshes", [1, 3, 5])
def test_saved_and_loaded_it_goes_on_bit_for_bit(tmp_path, refreshes):
    alive = torch.rand(2, 4, generator=torch.Generator().manual_seed(2)) < 0.7
    buffer, other = RefreshBuffer(3, 4), RefreshBuffer(3, 4)
    for refresh in range(refreshes):
        buffer.add(block(refresh, alive), alive)
    save_tree(tmp_path / "c", buffer.state_dict(), {})
    other.load_state_dict(load_tree(tmp_path / "c")[0])
    for refresh in range(refreshes, refreshes + 3):
        a, b = (x.sample(40, Streams((0, 1), "s")) for x in (buffer, other))
        assert all(v is None or torch.equal(v, getattr(b, k)) for k, v in vars(a).items())
        for x in (buffer, other):
            x.add(block(refresh, full(2, 4)), full(2, 4))


def test_an_empty_state_leaves_it_empty():
    buffer = RefreshBuffer(3, 4)
    buffer.load_state_dict({})
    assert buffer.storage is None


@pytest.mark.parametrize(("retain", "rows"), [(2, 4), (3, 5)])
def test_the_state_of_another_size_is_refused(retain, rows):
    buffer = RefreshBuffer(3, 4)
    buffer.add(block(0, full(1, 4)), full(1, 4))
    with pytest.raises(
        MismatchError, match=rf"holds \(refreshes, rows\) \(3, 4\), this one \({retain}, {rows}\)"
    ):
        RefreshBuffer(retain, rows).load_state_dict(buffer.state_dict())


@pytest.mark.usefixtures("cuda")
def test_it_lives_where_its_rows_live():
    buffer = RefreshBuffer(2, 4)
    buffer.add(block(0, full(1, 4)).to("cuda"), full(1, 4).cuda())
    assert buffer.sample(3, Streams((0,), "s", "cuda")).obs.is_cuda
    other = RefreshBuffer(2, 4)
    other.load_state_dict({k: v.cpu() for k, v in buffer.state_dict().items()}, "cuda")
    assert other.sample(3, Streams((0,), "s", "cuda")).obs.is_cuda


def test_some_members_sample_what_each_would_alone():
    buffer = RefreshBuffer(3, 6)
    alive = torch.rand(4, 6, generator=torch.Generator().manual_seed(4)) < 0.6
    for refresh in range(4):
        buffer.add(block(refresh, alive), alive)
    streams, members = Streams((3, 1, 4, 1), "s"), [2, 0]
    some = buffer.sample(50, streams.part(members), torch.tensor(members))
    everyone = buffer.sample(50, Streams((3, 1, 4, 1), "s"))
    for f in ("obs", "reward", "step", "terminal"):
        assert torch.equal(getattr(some, f), getattr(everyone, f)[members])
