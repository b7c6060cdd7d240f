"""Where episodes begin and end in a record."""

from dataclasses import replace

import numpy as np

from mbrl.core.errors import DataError
from mbrl.datasets.record import Record


def mark_ends(record: Record, where: str, max_episode_steps: int | None = None) -> tuple[Record, list[str]]:
    """The record with a `timeouts` column, and notes on how it was found.

    An existing column is trusted. Without one an episode ends at a terminal; where next_observations of a row
    are not the observations of the next; and, counted from the last such end, after every max_episode_steps
    rows. A row that ends so without being terminal is a timeout.

    Raises DataError if no row at all ends an episode: then no border is known, and one may be anywhere.
    """
    if max_episode_steps is not None and max_episode_steps < 1:
        raise DataError(f"{where}: max_episode_steps is {max_episode_steps}; expected at least 1")
    broken = _broken(record)
    if record.timeouts is not None:
        notes = _trusted(record, broken)
    else:
        ends = record.terminals | broken
        if max_episode_steps is not None:
            ends = ends | ((_position(ends) + 1) % max_episode_steps == 0)
        notes = [_inferred(record, int((ends & ~record.terminals).sum()), max_episode_steps)]
        record = replace(record, timeouts=ends & ~record.terminals)
    if not (record.terminals | record.timeouts).any():
        raise DataError(
            f"{where}: no complete episode: none of its {len(record)} rows is marked terminal or timeout, so "
            "episode borders are unknown. Mark the last row of each episode in timeouts, or pass "
            "max_episode_steps"
        )
    return record, notes


def last_rows(record: Record) -> np.ndarray:
    """[N] bool: the last row of each episode, that of an unfinished last one included."""
    last = record.terminals | record.timeouts
    last[-1] = True
    return last


def first_rows(last: np.ndarray) -> np.ndarray:
    """[N] bool: the first row of each episode."""
    return np.concatenate([[True], last[:-1]])


def _position(last: np.ndarray) -> np.ndarray:
    """[N] int: steps since the beginning of the row's episode."""
    first = np.flatnonzero(first_rows(last))
    lengths = np.diff(np.append(first, len(last)))
    return np.arange(len(last)) - np.repeat(first, lengths)


def _broken(record: Record) -> np.ndarray:
    """[N] bool: the stored successor is not the next row; False where none is stored, and at the last row."""
    broken = np.zeros(len(record), dtype=bool)
    if record.next_observations is not None:
        stored, following = record.next_observations[:-1], record.observations[1:]
        # Room for rounding where one column went through float64 and the other did not.
        broken[:-1] = ~np.isclose(stored, following, rtol=1e-5, atol=1e-6).all(axis=1)
    return broken


def _trusted(record: Record, broken: np.ndarray) -> list[str]:
    inside = int((broken & ~last_rows(record)).sum())
    if not inside:
        return []
    return [
        f"at {inside:,} rows inside episodes next_observations is not the next row's observations; "
        "transitions use next_observations, the episodes are those the file marks"
    ]


def _inferred(record: Record, found: int, max_episode_steps: int | None) -> str:
    ways = ["terminals"]
    if record.next_observations is not None:
        ways.append("breaks between next_observations and observations")
    if max_episode_steps is not None:
        ways.append(f"a limit of {max_episode_steps} steps")
    only = "" if len(ways) > 1 else "; if the recorder also stopped episodes for time, pass max_episode_steps"
    return f"no timeouts key: episodes end at {', '.join(ways)}; {found:,} rows taken as timeouts{only}"
