"""Is the recorded simulator state the state of the recorded observation? In some published files it is not."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mbrl.datasets.record import Record

TOLERANCE = 1e-4
VELOCITY_CLIP = 10.0


def check_state(record: Record) -> tuple[Record, list[str]]:
    """The record with qpos and qvel only if they agree with the observations at every row, and notes if not.

    Observations of Gymnasium's MuJoCo environments begin with the positions, without the root's coordinates
    in the plane (none, x, or x and y), then the velocities, clipped to +-10 in some. One such layout must fit
    every row to 1e-4. In D4RL all v1 files and some medium-replay-v2 files fail this (its issues 84 and 100).
    """
    if record.qpos is None and record.qvel is None:
        return record, []
    without = replace(record, qpos=None, qvel=None)
    if record.qpos is None or record.qvel is None:
        return without, ["simulator state dropped: it needs both infos/qpos and infos/qvel"]
    wrong = [_mismatches(positions, record) for positions in _layouts(record)]
    if 0 in wrong:
        return record, []
    if not wrong:
        return without, ["simulator state dropped: no known layout relates it to the observations"]
    rows = f"{min(wrong):,} of {len(record):,} rows"
    return without, [f"simulator state dropped: it disagrees with the observations at {rows}"]


def _layouts(record: Record) -> Iterator[np.ndarray]:
    """The positions that observations may begin with, [N, P]; velocities follow, then anything else."""
    width = record.observations.shape[1]
    nq, nv = record.qpos.shape[1], record.qvel.shape[1]
    for skipped in range(3):
        if nq > skipped and nq - skipped + nv <= width:
            yield record.qpos[:, skipped:]
    if nq == 3 and nv == 3 and width >= 8:  # InvertedDoublePendulum
        yield np.concatenate(
            [record.qpos[:, :1], np.sin(record.qpos[:, 1:]), np.cos(record.qpos[:, 1:])], axis=1
        )


def _mismatches(positions: np.ndarray, record: Record) -> int:
    """Rows where the observation is not these positions and the velocities, both sides clipped."""
    split = positions.shape[1]
    seen = record.observations[:, split : split + record.qvel.shape[1]]
    velocities = _close(_clipped(record.qvel), _clipped(seen))
    return int((~(velocities & _close(positions, record.observations[:, :split]))).sum())


def _clipped(velocities: np.ndarray) -> np.ndarray:
    return np.clip(velocities, -VELOCITY_CLIP, VELOCITY_CLIP)


def _close(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.isclose(a, b, rtol=TOLERANCE, atol=TOLERANCE).all(axis=1)
