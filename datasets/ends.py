"""What files of other projects call `done`, told apart: did the MDP end, or only the record?"""

import numpy as np

from mbrl.core.errors import DataError


def split_done(done: np.ndarray, limit: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Terminals and timeouts [B] bool for `done` [B], which marks each episode's last row.

    An episode of exactly `limit` rows was ended by the clock; any other end is taken for the MDP's. None: no clock.
    """
    ends = np.flatnonzero(done)
    lengths = np.diff(ends, prepend=-1)
    timeouts = np.zeros(len(done), dtype=bool)
    timeouts[ends[lengths == limit]] = limit is not None
    return done & ~timeouts, timeouts


def without_last_observations(
    observations: np.ndarray, done: np.ndarray, where: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For rows of which those marked done hold an episode's last observation and nothing else: what is left.

    Returns the rows that are transitions [B] int64, their next observations [B, ...] and, for each, whether it ends
    its episode [B] bool. A last row that is not done has no successor and is left out, too.
    Raises DataError if nothing is left.
    """
    rows = np.flatnonzero(~done[:-1])
    if not len(rows):
        raise DataError(f"{where}: all of its {len(done)} rows are marked done; nothing is left between them")
    return rows, observations[rows + 1], done[rows + 1]


def shared(values: np.ndarray, name: str, rows: int, where: str) -> np.ndarray:
    """One number a row [B] from [B], [B, 1], [B, N] or [B, N, 1] where all agents have the same.

    Raises DataError for other shapes, and where agents differ, naming the first such row.
    """
    values = np.asarray(values)
    if len(values) != rows or values.ndim > 3:
        raise DataError(
            f"{where}: {name} has shape {values.shape}; one number an agent and row of {rows} is needed"
        )
    flat = values.reshape(rows, -1)
    differ = (flat != flat[:, :1]).any(axis=1) & ~np.isnan(flat.astype(np.float64)).any(axis=1)
    if differ.any():
        row = int(differ.argmax())
        raise DataError(
            f"{where}: {name} row {row} is {flat[row].tolist()}: agents with {name} of their own are not "
            "supported, a team has one for all"
        )
    return flat[:, 0]
