"""Metrics, one row a seed: JSON lines that take new keys at any time, and the same scalars for TensorBoard."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from mbrl.core.errors import ConfigError

Row = dict[str, float | int | None]


class MetricsLog:
    """Appends to <run>/metrics.jsonl and <run>/tensorboard/seed_<s>.

    A resumed run passes `keep`: rows of later updates were written after the checkpoint it continues from,
    would come a second time, and are cut off first.
    """

    def __init__(self, folder: Path | str, seeds: Sequence[int], *, keep: int | None = None) -> None:
        self.path = Path(folder) / "metrics.jsonl"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            rows = [] if keep is None else [r for r in read_metrics(self.path) if r["update"] <= keep]
            fresh = self.path.with_suffix(".fresh")
            fresh.write_text("".join(json.dumps(row) + "\n" for row in rows))
            os.replace(fresh, self.path)
            board = Path(folder) / "tensorboard"
            purge = 0 if keep is None else keep + 1
            self.writers = {s: SummaryWriter(board / f"seed_{s}", purge_step=purge) for s in seeds}
            self.file = self.path.open("a")
        except OSError as error:
            message = f"{folder}: the run folder cannot be written ({error}); choose another out="
            raise ConfigError(message) from error

    def append(self, rows: Sequence[Row]) -> None:
        """Append rows of some or all seeds to both logs."""
        for row in rows:
            for name, value in row.items():
                if value is not None and name not in ("update", "seed"):
                    self.writers[row["seed"]].add_scalar(name, value, row["update"])
        self.file.write("".join(json.dumps(row) + "\n" for row in rows))
        self.file.flush()

    def close(self) -> None:
        """Flush and close both."""
        self.file.close()
        for writer in self.writers.values():
            writer.close()


def rows_of(update: int, metrics: Mapping[str, Tensor], seeds: Sequence[int]) -> list[Row]:
    """One row a seed of metrics {"<group>/<name>": [S]}; a value that is not finite becomes None.

    This is where values leave the device: one transfer for all of them.
    """
    if not metrics:
        return [{"update": update, "seed": seed} for seed in seeds]
    columns = torch.stack([v.detach().double() for v in metrics.values()], dim=-1).tolist()
    finite = [[v if math.isfinite(v) else None for v in column] for column in columns]
    return [
        {"update": update, "seed": seed, **dict(zip(metrics, values, strict=True))}
        for seed, values in zip(seeds, finite, strict=True)
    ]


def read_metrics(path: Path | str) -> list[Row]:
    """All rows of a metrics.jsonl; [] if there is none. A last line cut short by a kill is left out."""
    path = Path(path)
    lines = path.read_text().splitlines() if path.exists() else []
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            if number < len(lines):
                raise ConfigError(f"{path}:{number}: not a JSON object ({error})") from error
    return rows
