"""Rows of metrics.jsonl: plain JSON, a checksum at the end of each."""

import json
import re
import zlib
from pathlib import Path

from mbrl.core.errors import ConfigError

Row = dict[str, float | int | None]
SUM = re.compile(rb', "crc32": (\d+)\}')
"""How a row ends: with the CRC-32 (of zlib, gzip, PNG) of all bytes of the line before this."""


def as_line(row: Row) -> str:
    """A row as it is written, with its checksum."""
    text = json.dumps(row)[:-1]
    return f'{text}, "crc32": {zlib.crc32(text.encode())}}}\n'


def read_metrics(path: Path | str) -> list[Row]:
    """All rows of a metrics.jsonl, without their checksums; [] if there is none.

    A last line cut short by a kill is left out. Raises ConfigError naming file and line for any other line that is
    not a row, or not the one that was written; rows of earlier versions have no checksum to say the latter.
    """
    return _read(Path(path))[0]


def read_sound(path: Path) -> tuple[list[Row], str | None]:
    """(rows, what is wrong with the last line), of which the latter is left out, however it came to be no row.

    For those who go on writing. Raises ConfigError as read_metrics does for any other line.
    """
    return _read(path, resuming=True)


def _read(path: Path, *, resuming: bool = False) -> tuple[list[Row], str | None]:
    """resuming: any last line that is not a row is left out, not only one that was cut short."""
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
