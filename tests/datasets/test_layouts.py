"""Properties of every loader over episodes of any layout."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mbrl.core.errors import DataError
from mbrl.datasets.extract import CUT, TIMEOUT
from tests.datasets.layouts import FILES, Episode, check, columns, expected, layouts, via_minari

quick = settings(max_examples=40, deadline=None)


def load_with(via, *args, **options):
    with tempfile.TemporaryDirectory() as folder:
        return via(*args, Path(folder), **options)


def complete(episodes):
    return [ep for ep in episodes if ep.end != "cut"]


@pytest.mark.parametrize("loader", FILES)
@pytest.mark.parametrize("successors", [True, False])
@quick
@given(episodes=layouts())
def test_no_transition_leaves_its_episode(loader, successors, episodes):
    without = () if successors else ("next_observations",)
    want, at_timeout, at_cut = expected(episodes, successors)
    data = columns(episodes, without)
    if not complete(episodes) or not want:
        message = "no complete episode" if not complete(episodes) else "no usable transition"
        with pytest.raises(DataError, match=message):
            load_with(FILES[loader], data)
        return
    dataset = load_with(FILES[loader], data)
    check(dataset, episodes, want)
    assert dataset.stats.timeouts == sum(ep.end in ("timeout", "both") for ep in episodes)
    assert dataset.stats.dropped == {k: n for k, n in ((TIMEOUT, at_timeout), (CUT, at_cut)) if n}


@pytest.mark.parametrize("loader", FILES)
@quick
@given(episodes=layouts())
def test_without_timeouts_borders_come_from_stored_successors(loader, episodes):
    assume(len(episodes) > 1 or episodes[0].end in ("terminal", "both"))
    dataset = load_with(FILES[loader], columns(episodes, without=("timeouts",)))
    want, _, _ = expected(episodes, successors=True)
    check(dataset, episodes, want, flags=False)
    for i, w in enumerate(want):
        # The very last row has no next row to differ from; nothing says that its episode is over.
        ended = w.timeout and not w.terminal and i < len(want) - 1
        assert dataset.transitions.timeout[i].item() == ended


@st.composite
def limited(draw):
    """A step limit, and episodes that end by a terminal, at the latest there, or by reaching it."""
    limit = draw(st.integers(1, 5))
    ends = draw(st.lists(st.one_of(st.none(), st.integers(1, limit)), min_size=1, max_size=6))
    episodes = [Episode(limit, "timeout") if e is None else Episode(e, "terminal") for e in ends]
    if limit > 1 and draw(st.booleans()):
        episodes.append(Episode(draw(st.integers(1, limit - 1)), "cut"))
    return limit, episodes


@pytest.mark.parametrize("loader", FILES)
@quick
@given(case=limited())
def test_without_timeouts_and_successors_borders_come_from_the_step_limit(loader, case):
    limit, episodes = case
    want, at_timeout, at_cut = expected(episodes, successors=False)
    data = columns(episodes, without=("timeouts", "next_observations"))
    if not want:
        with pytest.raises(DataError, match="no usable transition"):
            load_with(FILES[loader], data, max_episode_steps=limit)
        return
    dataset = load_with(FILES[loader], data, max_episode_steps=limit)
    check(dataset, episodes, want)
    assert dataset.stats.dropped == {k: n for k, n in ((TIMEOUT, at_timeout), (CUT, at_cut)) if n}


@pytest.mark.parametrize("storage", ["hdf5", "arrow"])
@settings(max_examples=12, deadline=None)
@given(episodes=layouts(max_episodes=4, max_length=4))
def test_minari_knows_every_successor(storage, episodes):
    def via(eps, folder):
        return via_minari(eps, folder, storage)

    dataset = load_with(via, episodes)
    # The border of an episode is stored as such, so one without a flag has still ended.
    ended = [Episode(ep.length, "timeout" if ep.end == "cut" else ep.end) for ep in episodes]
    want, _, _ = expected(ended, successors=True)
    check(dataset, ended, want)
    assert not dataset.stats.dropped
    assert dataset.successor_known.all()


def test_many_minari_episodes_keep_their_order(tmp_path):
    episodes = [Episode(1 + i % 3, "terminal") for i in range(12)]  # 10 and 11 sort before 2 as text
    want, _, _ = expected(episodes, successors=True)
    digests = set()
    for storage in ("hdf5", "arrow"):
        dataset = via_minari(episodes, tmp_path / storage, storage)
        check(dataset, episodes, want)
        digests.add(dataset.sha256)
    assert len(digests) == 1
