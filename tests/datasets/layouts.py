"""Synthetic episodes whose rows say which episode and time they are, and what a loader should make of them."""

import contextlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import gymnasium
import h5py
import numpy as np
from hypothesis import strategies as st

from mbrl.datasets import OfflineDataset, from_arrays, from_d4rl_env, read_hdf5, read_minari, read_npz

ENDS = ("terminal", "timeout", "both")


@dataclass(frozen=True)
class Episode:
    """length rows, ended by a terminal, a timeout, both on one row, or "cut": by nothing."""

    length: int
    end: str


@st.composite
def layouts(draw, max_episodes=6, max_length=5):
    """Episodes in order; only the last may be cut."""
    episodes = [
        Episode(draw(st.integers(1, max_length)), draw(st.sampled_from(ENDS)))
        for _ in range(draw(st.integers(1, max_episodes)))
    ]
    if draw(st.booleans()):
        episodes[-1] = Episode(episodes[-1].length, "cut")
    return episodes


def obs(episode: int, time: int) -> list[float]:
    """One observation: never the same for two (episode, time)."""
    return [float(episode), float(time), 0.5]


def action(episode: int, time: int) -> list[float]:
    return [episode / 100, -time / 10]


def reward(episode: int, time: int) -> float:
    return 100.0 * episode + time


def columns(episodes: list[Episode], without: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """The arrays of a file that holds these episodes."""
    rows = [(e, t, ep, t == ep.length - 1) for e, ep in enumerate(episodes) for t in range(ep.length)]
    out = {
        "observations": np.array([obs(e, t) for e, t, _, _ in rows]),
        "actions": np.array([action(e, t) for e, t, _, _ in rows]),
        "rewards": np.array([reward(e, t) for e, t, _, _ in rows]),
        "terminals": np.array([last and ep.end in ("terminal", "both") for _, _, ep, last in rows]),
        "timeouts": np.array([last and ep.end in ("timeout", "both") for _, _, ep, last in rows]),
        "next_observations": np.array([obs(e, t + 1) for e, t, _, _ in rows]),
    }
    return {key: value for key, value in out.items() if key not in without}


@dataclass(frozen=True)
class Expected:
    """One transition that should come out."""

    episode: int
    time: int
    known: bool
    terminal: bool
    timeout: bool


def expected(episodes: list[Episode], successors: bool) -> tuple[list[Expected], int, int]:
    """Transitions, rows dropped at timeouts, rows dropped at a cut: one row at a time, by the rules' letter."""
    out, at_timeout, at_cut = [], 0, 0
    for e, ep in enumerate(episodes):
        for t in range(ep.length):
            last = t == ep.length - 1
            terminal = last and ep.end in ("terminal", "both")
            timeout = last and ep.end in ("timeout", "both")
            if successors or not last:
                out.append(Expected(e, t, True, terminal, timeout))
            elif terminal:
                out.append(Expected(e, t, False, terminal, timeout))
            elif timeout:
                at_timeout += 1
            else:
                at_cut += 1
    return out, at_timeout, at_cut


def check(dataset: OfflineDataset, episodes: list[Episode], want: list[Expected], flags: bool = True) -> None:
    """Every row that came out is the one that should have, from its own episode throughout."""
    rows = dataset.transitions
    assert len(rows) == len(want)
    for i, w in enumerate(want):
        assert rows.obs[i].tolist() == obs(w.episode, w.time)
        assert rows.next_obs[i].tolist() == obs(w.episode, w.time + w.known)
        np.testing.assert_allclose(rows.action[i].numpy(), action(w.episode, w.time), atol=1e-6)
        assert rows.reward[i].item() == reward(w.episode, w.time)
        assert dataset.episode[i].item() == w.episode
        assert dataset.successor_known[i].item() == w.known
        assert rows.terminal[i].item() == w.terminal
        assert not flags or rows.timeout[i].item() == w.timeout
    stats = dataset.stats
    returns = [sum(reward(e, t) for t in range(ep.length)) for e, ep in enumerate(episodes)]
    assert stats.episodes == len(episodes)
    assert stats.transitions == len(want)
    assert stats.transitions + sum(stats.dropped.values()) == sum(ep.length for ep in episodes)
    assert (stats.return_min, stats.return_max) == (min(returns), max(returns))
    np.testing.assert_allclose(stats.return_mean, np.mean(returns))
    np.testing.assert_allclose(stats.length_mean, np.mean([ep.length for ep in episodes]))
    assert stats.terminals == sum(ep.end in ("terminal", "both") for ep in episodes)


def via_arrays(data, folder, **options):
    return from_arrays(**data, **options)


def via_npz(data, folder, **options):
    np.savez(folder / "data.npz", **data)
    return read_npz(folder / "data.npz", **options)


def via_hdf5(data, folder, **options):
    with h5py.File(folder / "data.hdf5", "w") as file:
        for key, value in data.items():
            file[key] = value
    return read_hdf5(folder / "data.hdf5", **options)


def d4rl_like(data, name="hopper-toy-v9", limit=None):
    """An object of the shape of d4rl's environments."""
    spec = SimpleNamespace(id=name, max_episode_steps=limit)
    return SimpleNamespace(spec=spec, _max_episode_steps=limit, get_dataset=lambda: dict(data))


def via_d4rl_env(data, folder, **options):
    return from_d4rl_env(d4rl_like(data), **options)


FILES = {"arrays": via_arrays, "npz": via_npz, "hdf5": via_hdf5, "d4rl_env": via_d4rl_env}


@contextlib.contextmanager
def minari_root(folder) -> Iterator[None]:
    """Minari's datasets live in `folder` meanwhile."""
    before = os.environ.get("MINARI_DATASETS_PATH")
    os.environ["MINARI_DATASETS_PATH"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["MINARI_DATASETS_PATH"]
        else:
            os.environ["MINARI_DATASETS_PATH"] = before


def minari_buffers(episodes: list[Episode], scale: float = 1.0) -> list:
    """Minari's own form of these episodes, actions in [-scale, scale]."""
    from minari.data_collector import EpisodeBuffer

    data, buffers, start = columns(episodes), [], 0
    for e, ep in enumerate(episodes):
        rows = slice(start, start := start + ep.length)
        buffers.append(
            EpisodeBuffer(
                observations=np.array([obs(e, t) for t in range(ep.length + 1)], dtype=np.float32),
                actions=(scale * data["actions"][rows]).astype(np.float32),
                rewards=data["rewards"][rows],
                terminations=data["terminals"][rows],
                truncations=data["timeouts"][rows],
            )
        )
    return buffers


def write_minari(id: str, buffers: list, storage: str = "hdf5", low=-1.0, high=1.0, **options) -> None:
    """A local Minari dataset."""
    box = gymnasium.spaces.Box
    spaces = {
        "observation_space": box(-np.inf, np.inf, (3,), np.float32),
        "action_space": box(low, high, (2,), np.float32),
    }
    import minari

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for authors and a permanent link
        minari.create_dataset_from_buffers(id, buffers, data_format=storage, **(spaces | options))


def via_minari(episodes, folder, storage, **options):
    with minari_root(folder):
        write_minari("toy/test-v0", minari_buffers(episodes), storage)
        return read_minari("toy/test-v0", **options)
