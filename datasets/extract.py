"""From rows in time order to transitions: the one place where a successor is chosen."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mbrl.core.errors import DataError
from mbrl.core.types import Transitions
from mbrl.datasets.episodes import first_rows, last_rows
from mbrl.datasets.record import Record

TIMEOUT = "timeout rows without a recorded successor"
CUT = "last row of an unfinished episode without a recorded successor"


@dataclass(frozen=True)
class Extracted:
    """Transitions [B], and for each its episode [B] int64 and whether next_obs was recorded [B] bool.

    dropped: rows left out, by reason; B + sum(dropped) = N.
    """

    transitions: Transitions
    episode: Tensor
    successor_known: Tensor
    dropped: dict[str, int]


def extract(record: Record, where: str) -> Extracted:
    """Transitions of a record that has been cleaned and whose `timeouts` are marked.

    - Where next_observations are stored every row is a transition, and its successor is the stored one.
    - Otherwise a successor is the next row of the same episode. The last row of an episode has none:
      - terminal: kept, since its reward and its end are what values are learned from and its target uses no
        successor (dropping it would lose every reward of a sparse task). next_obs repeats obs and
        successor_known is False, so that no model learns from it;
      - timeout, or the file just stops: dropped and counted, since its target needs the successor.
    - A row that is both terminal and timeout keeps both flags and counts as terminal above.

    So no transition crosses from one episode to the next. Raises DataError if nothing is left.
    """
    last = last_rows(record)
    if record.next_observations is not None:
        kept = known = np.ones(len(record), dtype=bool)
    else:
        known = ~last
        kept = known | record.terminals
    if not kept.any():
        raise DataError(
            f"{where}: no usable transition: each of its {len(record)} rows ends an episode by timeout, and "
            "without next_observations no successor is known"
        )
    lost_to_timeout = ~kept & record.timeouts
    counts = {TIMEOUT: int(lost_to_timeout.sum()), CUT: int((~kept & ~lost_to_timeout).sum())}
    return Extracted(
        transitions=_transitions(record, kept, known),
        episode=torch.from_numpy((np.cumsum(first_rows(last)) - 1)[kept]),
        successor_known=torch.from_numpy(known[kept]),
        dropped={reason: count for reason, count in counts.items() if count},
    )


def _transitions(record: Record, kept: np.ndarray, known: np.ndarray) -> Transitions:
    if record.next_observations is not None:
        next_obs = record.next_observations[kept]
    else:
        row = np.arange(len(record))
        next_obs = record.observations[np.where(known, row + 1, row)[kept]]
    state = None
    if record.qpos is not None and record.qvel is not None:
        state = np.concatenate([record.qpos[kept], record.qvel[kept]], axis=1, dtype=np.float64)
    # Indexing by a mask copies, so nothing here shares memory with arrays that a caller may go on writing to.
    return Transitions(
        obs=torch.from_numpy(record.observations[kept]),
        action=torch.from_numpy(record.actions[kept]),
        reward=torch.from_numpy(record.rewards[kept]),
        next_obs=torch.from_numpy(next_obs),
        terminal=torch.from_numpy(record.terminals[kept]),
        timeout=torch.from_numpy(record.timeouts[kept]),
        step=torch.zeros(int(kept.sum()), dtype=torch.int64),
        sim_state=None if state is None else torch.from_numpy(state),
    )
