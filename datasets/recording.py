"""A finished collection, as the writers take it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from mbrl.core.errors import DataError
from mbrl.core.joint import Layout
from mbrl.core.types import EnvSpec
from mbrl.datasets.dataset import OfflineDataset
from mbrl.datasets.record import Record


@dataclass(frozen=True)
class Recording:
    """Rows of one behaviour in one environment, and where they come from.

    record: all columns present but qpos and qvel where there is no simulator; actions in [-1, 1]; the last
    row ends an episode. next_qpos [N, nq], next_qvel [N, nv]: simulator state at `next_observations`.
    behaviour: the policy in words. seed: the one seed everything was drawn from. layout: of several agents, whose
    columns stand side by side without padding.
    """

    record: Record
    next_qpos: np.ndarray | None
    next_qvel: np.ndarray | None
    env: EnvSpec
    behaviour: str
    seed: int
    dataset_id: str
    layout: Layout | None = None

    def __post_init__(self) -> None:
        """Raise DataError for no rows, a missing column or an open last episode."""
        record, where = self.record, self.dataset_id
        if len(record) == 0:
            raise DataError(f"{where}: nothing was recorded")
        if record.timeouts is None or record.next_observations is None:
            raise DataError(f"{where}: a recording has timeouts and next_observations")
        if not (record.terminals[-1] or record.timeouts[-1]):
            raise DataError(f"{where}: the last row must be marked timeout, or the next block would join it")

    def __len__(self) -> int:
        """N."""
        return len(self.record)

    def episodes(self) -> list[slice]:
        """The rows of each episode, in order."""
        ends = np.flatnonzero(self.record.terminals | self.record.timeouts) + 1
        return [slice(int(a), int(b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]

    def summary(self) -> str:
        """One line for people."""
        returns = [float(self.record.rewards[rows].sum(dtype=np.float64)) for rows in self.episodes()]
        return (
            f"{self.dataset_id}: {len(self):,} transitions, {len(returns):,} episodes, return min "
            f"{min(returns):.1f}, mean {np.mean(returns):.1f}, max {max(returns):.1f} ({self.behaviour})"
        )


def as_recording(dataset: OfflineDataset, dataset_id: str, *, seed: int = 0) -> Recording:
    """A loaded dataset as the writers take it, to convert data of one's own.

    An episode whose last rows were dropped, for want of a successor, ends in a timeout here; the simulator's state
    stays behind. Raises DataError for a dataset without an environment, or with terminal rows of which no successor
    is known.
    """
    if dataset.env is None:
        raise DataError(f"{dataset.id}: a file names its environment; load the data with env=EnvSpec(...)")
    if unknown := int((~dataset.successor_known).sum()):
        raise DataError(f"{dataset.id}: {unknown:,} terminal rows have no successor; give next_observations")
    rows = dataset.transitions if dataset.layout is None else dataset.layout.flat_rows(dataset.transitions)
    episode, terminal = dataset.episode.numpy(), rows.terminal.numpy()
    last = np.append(episode[1:] != episode[:-1], True)
    record = Record(
        observations=rows.obs.numpy(),
        actions=rows.action.numpy(),
        rewards=rows.reward.numpy(),
        terminals=terminal,
        timeouts=rows.timeout.numpy() | (last & ~terminal),
        next_observations=rows.next_obs.numpy(),
    )
    return Recording(record, None, None, dataset.env, dataset.behaviour, seed, dataset_id, dataset.layout)


def join(parts: Sequence[Recording], dataset_id: str) -> Recording:
    """The parts one after another, under one name; raises DataError for parts of different environments."""
    first = parts[0]
    if any((part.env, part.layout) != (first.env, first.layout) for part in parts):
        raise DataError(f"{dataset_id}: parts come from {[part.env.id for part in parts]}")
    columns = {f.name: _stacked([getattr(part.record, f.name) for part in parts]) for f in fields(Record)}
    return replace(
        first,
        record=Record(**columns),
        next_qpos=_stacked([part.next_qpos for part in parts]),
        next_qvel=_stacked([part.next_qvel for part in parts]),
        behaviour="; then ".join(part.behaviour for part in parts),
        dataset_id=dataset_id,
    )


def _stacked(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    return None if any(a is None for a in arrays) else np.concatenate(arrays)
