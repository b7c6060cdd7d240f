"""All segments of T transitions that an offline dataset holds, gathered as they are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mbrl.core.errors import DataError
from mbrl.core.joint import Layout, with_agent_axis
from mbrl.core.types import Transitions
from mbrl.datasets.dataset import OfflineDataset
from mbrl.dynamics.diffusion.shape import SegmentShape, Tokens


@dataclass(frozen=True)
class Segments:
    """Segments of one dataset: M of them, any two of an episode may share rows.

    table [R, D]: the dataset's rows as tokens; last [R, D]: tokens of their next_obs, all else 0.
    starts [M] int64: first row of each segment; episode [M]: the episode it lies in.
    left_out: what of the data no segment holds, counted by reason.
    """

    shape: SegmentShape
    table: Tensor
    last: Tensor
    starts: Tensor
    episode: Tensor
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """M."""
        return len(self.starts)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Segments [B, T + 1, D] by their numbers index [B]."""
        first = self.starts[index]
        rows = first.unsqueeze(-1) + torch.arange(self.shape.horizon, device=first.device)
        end = self.last[rows[:, -1]].unsqueeze(1)
        return torch.cat([self.table[rows], end], dim=1)

    def rows(self) -> Tensor:
        """Numbers of the dataset's rows that at least one segment holds."""
        used = torch.zeros(len(self.table), dtype=torch.bool, device=self.starts.device)
        for t in range(self.shape.horizon):
            used[self.starts + t] = True
        return used.nonzero().squeeze(-1)


def segments(dataset: OfflineDataset, horizon: int) -> Segments:
    """Every run of `horizon` rows that follow each other in one episode of the dataset.

    None crosses the end of an episode; terminal and timeout rows come last or not at all; rows whose successor
    was not recorded are not used. Raises DataError where no episode is long enough, naming the longest, and for
    values that are not finite, naming the row; ConfigError for a horizon below 1.
    """
    rows, layout = joint_rows(dataset)
    shape = SegmentShape(horizon, layout, joint=dataset.layout is not None)
    table, last = _tables(shape, rows)
    usable = dataset.successor_known
    _check_finite(dataset.id, usable, table, last)
    left = _run_left(dataset.episode, usable, rows.terminal | rows.timeout)
    starts = (left >= horizon).nonzero().squeeze(-1)
    if not len(starts):
        raise DataError(
            f"{dataset.id}: no segment of {horizon} transitions: the longest episode has {int(left.max())}; "
            f"take a horizon of at most that"
        )
    found = Segments(shape, table, last, starts, dataset.episode[starts])
    short = len(dataset.episode.unique()) - len(found.episode.unique())
    counts = {
        "rows without a recorded successor": int((~usable).sum()),
        f"episodes shorter than {horizon} transitions": short,
        "rows in no segment": len(table) - len(found.rows()),
    }
    counts = {reason: count for reason, count in counts.items() if count}
    return Segments(shape, table, last, starts, found.episode, counts)


def joint_rows(dataset: OfflineDataset) -> tuple[Transitions, Layout]:
    """The rows with an axis of agents, of one agent where the data has none, and the agents' sizes."""
    if dataset.layout is not None:
        return dataset.transitions, dataset.layout
    return with_agent_axis(dataset.transitions), Layout((dataset.obs_dim,), (dataset.action_dim,))


def _tables(shape: SegmentShape, rows: Transitions) -> tuple[Tensor, Tensor]:
    """Tokens [R, D] of the rows, and of their successors."""
    terminal = torch.where(rows.terminal, 1.0, -1.0)
    table = shape.join(Tokens(rows.obs, rows.action, rows.reward, terminal))
    nothing = torch.zeros_like(rows.reward)
    last = shape.join(Tokens(rows.next_obs, torch.zeros_like(rows.action), nothing, nothing))
    columns = shape.columns(table.device)
    return table * columns, last * columns


def _run_left(episode: Tensor, usable: Tensor, end: Tensor) -> Tensor:
    """[R] int64: how many rows, this one included, can be read on from each row; 0 where it cannot be used."""
    follows = torch.zeros_like(usable)
    follows[:-1] = (episode[1:] == episode[:-1]) & usable[1:] & usable[:-1] & ~end[:-1]
    row = torch.arange(len(episode))
    # The next row at which a run stops, by a running minimum from the back.
    stop = torch.where(follows, len(episode), row).flip(0).cummin(0).values.flip(0)
    return (stop - row + 1) * usable


def _check_finite(id: str, usable: Tensor, table: Tensor, last: Tensor) -> None:
    bad = usable & ~(table.isfinite().all(-1) & last.isfinite().all(-1))
    if bad.any():
        raise DataError(f"{id}: row {int(bad.nonzero()[0])} holds a value that is NaN or infinite")
