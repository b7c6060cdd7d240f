"""What is a segment, and what is none."""

import dataclasses

import pytest
import torch

from mbrl.core.errors import ConfigError, DataError
from mbrl.core.joint import Layout
from mbrl.dynamics.diffusion.segments import segments
from mbrl.dynamics.diffusion.shape import SegmentShape, Tokens
from tests.dynamics.diffusion.worlds import dataset, walks

UNEQUAL = Layout((3, 2), (1, 2))


def naive_starts(data, horizon):
    """First rows of all segments, by looking at every row of every candidate."""
    t, found = data.transitions, []
    for start in range(len(t) - horizon + 1):
        rows = list(range(start, start + horizon))
        same = all(data.episode[i] == data.episode[start] for i in rows)
        known = all(data.successor_known[i] for i in rows)
        ends = any(t.terminal[i] or t.timeout[i] for i in rows[:-1])
        if same and known and not ends:
            found.append(start)
    return found


def marked(lengths, layout=None):
    """Walks with terminals, timeouts and unknown successors, some of them within an episode."""
    data = walks(lengths, layout)
    terminal, timeout = data.transitions.terminal.clone(), data.transitions.timeout.clone()
    known = data.successor_known.clone()
    terminal[[4, 20]], timeout[11], known[[8, 25]] = True, True, False
    rows = dataclasses.replace(data.transitions, terminal=terminal, timeout=timeout)
    return dataset(rows, data.episode, layout=layout, known=known)


@pytest.mark.parametrize("horizon", [1, 2, 3, 6])
def test_starts_equal_a_naive_search(horizon):
    data = marked((7, 3, 10, 9))
    assert segments(data, horizon).starts.tolist() == naive_starts(data, horizon)


def test_a_segment_never_crosses_an_episodes_end():
    found = segments(walks((5, 4, 8)), 4)
    obs = found.shape.split(found[torch.arange(len(found))]).obs[:, :, 0, 0]
    assert len(found) == 2 + 1 + 5
    assert torch.equal(obs[:, 1:] - obs[:, :-1], torch.ones(len(found), 4))
    assert torch.equal(obs[:, 0].div(100).floor(), found.episode.float())


@pytest.mark.parametrize("layout", [None, Layout((3,), (2,)), UNEQUAL])
def test_segments_decode_to_the_rows_they_came_from(layout):
    data = marked((7, 3, 10, 9), layout)
    found = segments(data, 3)
    x = found[torch.arange(len(found))]
    rows = found.shape.transitions(x)
    assert rows.agents == (None if layout is None else layout.agents)
    for t in range(3):
        part = slice(t * len(found), (t + 1) * len(found))
        want = data.transitions[found.starts + t]
        for name in ("obs", "action", "reward", "next_obs", "terminal"):
            assert torch.equal(getattr(rows, name)[part], getattr(want, name)), name
        assert (rows.step[part] == t + 1).all()
    assert not rows.timeout.any()


def test_join_and_split_are_inverse():
    shape = SegmentShape(2, UNEQUAL)
    x = torch.randn(4, 3, shape.width)
    assert torch.equal(shape.join(shape.split(x)), x)
    assert shape.width == 2 * 3 + 2 * 2 + 2


def test_mask_leaves_out_padding_and_all_but_obs_of_the_last_token():
    shape = SegmentShape(1, UNEQUAL)
    obs, action, reward, terminal = shape.split(shape.mask().unsqueeze(0))
    assert obs[0].tolist() == [[[True] * 3, [True, True, False]]] * 2
    assert action[0].tolist() == [[[True, False], [True, True]], [[False] * 2] * 2]
    assert reward.tolist() == terminal.tolist() == [[True, False]]


def test_padding_in_the_data_is_cleared():
    data = walks((4,), UNEQUAL)
    data.transitions.action[:, 0, 1] = 7.0
    found = segments(data, 2)
    assert not (found[torch.arange(3)] * ~found.shape.mask()).any()


def test_what_is_left_out_is_counted():
    found = segments(marked((7, 3, 10, 9)), 3)
    assert found.left_out["rows without a recorded successor"] == 2
    assert found.left_out["episodes shorter than 3 transitions"] == 1
    held = {int(s) + t for s in found.starts for t in range(3)}
    assert found.left_out["rows in no segment"] == 29 - len(held)
    assert found.rows().tolist() == sorted(held)


def test_all_episodes_too_short():
    with pytest.raises(DataError, match="test/rows: no segment of 6 .* longest episode has 5"):
        segments(walks((5, 4)), 6)


def test_not_finite_rows_are_named():
    data = walks((5, 4))
    data.transitions.next_obs[6, 1] = torch.nan
    with pytest.raises(DataError, match="row 6 .*NaN"):
        segments(data, 2)


def test_horizon_below_one():
    with pytest.raises(ConfigError, match="horizon=0"):
        segments(walks((5,)), 0)


def test_rows_come_step_by_step_for_every_seed():
    shape = SegmentShape(2, Layout((1,), (1,)), joint=False)
    obs = torch.arange(2 * 3 * 3.0).view(2, 3, 3, 1, 1)
    flat = torch.zeros(2, 3, 3)
    rows = shape.transitions(shape.join(Tokens(obs, torch.zeros_like(obs), flat, flat)))
    assert rows.obs.squeeze(-1).tolist() == [[0, 3, 6, 1, 4, 7], [9, 12, 15, 10, 13, 16]]
    assert rows.next_obs.squeeze(-1)[0].tolist() == [1, 4, 7, 2, 5, 8]
