"""Metrics, one row a seed: JSON lines that take new keys at any time, and the same scalars for TensorBoard."""

import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from mbrl.core.errors import CheckpointError, ConfigError
from mbrl.core.files import write_whole
from mbrl.core.rows import Row, as_line, read_metrics, read_sound

__all__ = ["MetricsLog", "Row", "read_metrics", "rows_of"]


class MetricsLog:
    """Appends to <run>/metrics.jsonl and <run>/tensorboard/seed_<s>.

    A resumed run passes `keep`: rows of later updates were written after the checkpoint it continues from,
    would come a second time, and are cut off first. So is a last line that a kill cut short, with a message.
    """

    def __init__(self, folder: Path | str, seeds: Sequence[int], *, keep: int | None = None) -> None:
        self.path = Path(folder) / "metrics.jsonl"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            rows, torn = ([], None) if keep is None else read_sound(self.path)
            if torn:
                print(f"warning: {torn}; this line is cut off", file=sys.stderr, flush=True)
            kept = [row for row in rows if row["update"] <= keep]
            write_whole(self.path, "".join(map(as_line, kept)))
            board = Path(folder) / "tensorboard"
            purge = 0 if keep is None else keep + 1
            self.writers = {s: SummaryWriter(board / f"seed_{s}", purge_step=purge) for s in seeds}
            self.file = self.path.open("a")
        except OSError as error:
            message = f"{folder}: the run folder cannot be written ({error}); choose another out="
            raise ConfigError(message) from error

    def append(self, rows: Sequence[Row]) -> None:
        """Append rows of some or all seeds to both logs. Raises CheckpointError if they cannot be written."""
        with self._named():
            for row in rows:
                for name, value in row.items():
                    if value is not None and name not in ("update", "seed"):
                        self.writers[row["seed"]].add_scalar(name, value, row["update"])
            self.file.write("".join(map(as_line, rows)))
            self.file.flush()

    def sync(self) -> None:
        """Have all rows on disk before a checkpoint that counts on them. Raises CheckpointError."""
        with self._named():
            self.file.flush()
            os.fsync(self.file.fileno())

    def close(self) -> None:
        """Flush and close both. Raises CheckpointError if that is not possible."""
        with self._named(), ExitStack() as stack:
            for writer in self.writers.values():
                stack.callback(writer.close)
            self.file.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CheckpointError(
                f"{self.path.parent}: metrics cannot be written ({error}); the last checkpoint stands: make room "
                "and go on with resume=true"
            ) from error


def rows_of(update: int, metrics: Mapping[str, Tensor], seeds: Sequence[int]) -> list[Row]:
    """One row a seed of metrics {"<group>/<name>": [S]}; a value that is not finite becomes None.

    This is where values leave the device: one transfer for all of them, unless some are on the host already.
    """
    if not metrics:
        return [{"update": update, "seed": seed} for seed in seeds]
    values = [v.detach().double() for v in metrics.values()]
    if len({v.device for v in values}) > 1:
        values = [v.cpu() for v in values]
    columns = torch.stack(values, dim=-1).tolist()
    finite = [[v if math.isfinite(v) else None for v in column] for column in columns]
    return [
        {"update": update, "seed": seed, **dict(zip(metrics, values, strict=True))}
        for seed, values in zip(seeds, finite, strict=True)
    ]
