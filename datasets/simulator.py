"""Is the recorded simulator state the state of the recorded observation? In some published files it is not."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mbrl.datasets.record import Record

TOLERANCE = 1e-4
VELOCITY_CLIP = 10.0


def check_state(record: Record, *, joint: bool = False) -> tuple[Record, list[str]]:
    """The record with qpos and qvel only if they agree with the observations at every row, and notes if not.

    Observations of Gymnasium's MuJoCo environments begin with the positions, without the root's coordinates
    in the plane (none, x, or x and y), then the velocities, clipped to +-10 in some. One such layout must fit
    every row to 1e-4. In D4RL all v1 files and some medium-replay-v2 files fail this (its issues 84 and 100).
    joint: the columns are those of several agents, each of which sees a part in an order of its own. Then each
    coordinate must be seen by one of them at every row, again without the first positions.
    """
    if record.qpos is None and record.qvel is None:
        return record, []
    without = replace(record, qpos=None, qvel=None)
    if record.qpos is None or record.qvel is None:
        return without, ["simulator state dropped: it needs both infos/qpos and infos/qvel"]
    if joint:
        return _check_joint_state(record, without)
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


def _check_joint_state(record: Record, without: Record) -> tuple[Record, list[str]]:
    columns, clipped = record.observations, _clipped(record.observations)
    unseen = [not _seen(record.qpos[:, [i]], columns) for i in range(record.qpos.shape[1])]
    speeds = _clipped(record.qvel)
    hidden = [i for i in range(speeds.shape[1]) if not _seen(speeds[:, [i]], clipped)]
    if sum(unseen) <= 2 and unseen == sorted(unseen, reverse=True) and not hidden:
        return record, []
    return without, [
        "simulator state dropped: no agent sees "
        f"qpos {[i for i, gone in enumerate(unseen) if gone]} or qvel {hidden} at every row"
    ]


def _seen(coordinate: np.ndarray, columns: np.ndarray) -> bool:
    """Is coordinate [N, 1] one of columns [N, C] at every row? A few rows first, since most columns are not."""
    few = np.isclose(coordinate[:64], columns[:64], rtol=TOLERANCE, atol=TOLERANCE).all(axis=0)
    found = columns[:, few]
    return bool(np.isclose(coordinate, found, rtol=TOLERANCE, atol=TOLERANCE).all(axis=0).any())
