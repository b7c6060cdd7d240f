"""Metrics, one row a seed: JSON lines that take new keys at any time, and the same scalars for TensorBoard."""

import json
import math
import os
import re
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from mbrl.core.errors import CheckpointError, ConfigError
from mbrl.core.files import write_whole

Row = dict[str, float | int | None]
SUM = re.compile(rb', "crc32": (\d+)\}')
"""How a row ends: with the CRC-32 (of zlib, gzip, PNG) of all bytes of the line before this."""


class MetricsLog:
    """Appends to <run>/metrics.jsonl and <run>/tensorboard/seed_<s>.

    A resumed run passes `keep`: rows of later updates were written after the checkpoint it continues from,
    would come a second time, and are cut off first. So is a last line that a kill cut short, with a message.
    """

    def __init__(self, folder: Path | str, seeds: Sequence[int], *, keep: int | None = None) -> None:
        self.path = Path(folder) / "metrics.jsonl"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            rows, torn = ([], None) if keep is None else _read(self.path, resuming=True)
            if torn:
                print(f"warning: {torn}; this line is cut off", file=sys.stderr, flush=True)
            kept = [row for row in rows if row["update"] <= keep]
            write_whole(self.path, "".join(map(_line, kept)))
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
            self.file.write("".join(map(_line, rows)))
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
    """All rows of a metrics.jsonl, without their checksums; [] if there is none.

    A last line cut short by a kill is left out. Raises ConfigError naming file and line for any other line that is
    not a row, or not the one that was written; rows of earlier versions have no checksum to say the latter.
    """
    return _read(Path(path))[0]


def _line(row: Row) -> str:
    text = json.dumps(row)[:-1]
    return f'{text}, "crc32": {zlib.crc32(text.encode())}}}\n'


def _read(path: Path, *, resuming: bool = False) -> tuple[list[Row], str | None]:
    """(rows, what is wrong with a last line that is left out: one cut short; resuming: any that is not a row)."""
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    *lines, last = data.split(b"\n")
    lines += [last] if last else []
    summed, rows = b', "crc32": ' in data, []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_row(line, summed))
        except (ValueError, RecursionError) as error:
            message = (
                f"{path}:{number}: not a row of metrics ({error}); without this line the rest can be read"
            )
            written_to_its_end = data.endswith(b"\n") or SUM.search(line)
            if number < len(lines) or (written_to_its_end and not resuming):
                raise ConfigError(message) from error
            return rows, message
    return rows, None


def _row(line: bytes, summed: bool) -> Row:
    """A JSON object with update and seed, and figures or null; summed: with its checksum. Raises ValueError."""
    if summed:
        end = SUM.search(line)
        if end is None:
            raise ValueError("it has no crc32, as other lines have")
        if zlib.crc32(line[: end.start()]) != int(end[1]):
            raise ValueError("its crc32 is another's: a byte of it was changed or damaged")
        line = line[: end.start()] + b"}" + line[end.end() :]
    row = json.loads(line.decode())
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    if not all(type(row.get(name)) is int for name in ("update", "seed")):
        raise ValueError("it needs whole numbers update and seed")
    wrong = [name for name, x in row.items() if not (x is None or type(x) in (int, float))]
    if wrong:
        raise ValueError(f"{wrong[0]} is {type(row[wrong[0]]).__name__}, not a number or null")
    return row
