"""The files of a benchmark: its rows, how they were made, and a table."""

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mbrl.bench.case import Row
from mbrl.bench.request import Request
from mbrl.bench.setup import Setup
from mbrl.core.errors import DataError
from mbrl.core.files import write_output
from mbrl.run.envs import current_versions
from mbrl.study.outputs import plain

ROWS, META, TABLE, PICTURE = ("benchmark.json", "benchmark.meta.json", "benchmark.txt", "benchmark.png")
Meta = dict[str, Any]
GIB = 1 << 30


def read_before(request: Request) -> tuple[list[Row], Meta]:
    """What an earlier benchmark in `out` left: its rows and their meta.

    Raises DataError for files that are not a benchmark's, or of another scale.
    """
    paths = request.out / ROWS, request.out / META
    if not any(path.exists() for path in paths):
        return [], {"scale": request.scale, "runs": []}
    try:
        rows, meta = (json.loads(path.read_text()) for path in paths)
        scale = meta["scale"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{request.out}: {ROWS} and {META} there are not a benchmark's ({error})") from error
    if scale != request.scale:
        raise DataError(
            f"{request.out} holds a benchmark at scale={scale}; choose another out= for {request.scale}"
        )
    return rows, meta


def merged(before: Sequence[Row], new: Sequence[Row], order: Sequence[str]) -> list[Row]:
    """New rows in place of earlier ones of the same case and device, by the order of cases; others are left out."""
    replaced = {(row["case"], row["device"]) for row in new}
    kept = [row for row in before if (row["case"], row["device"]) not in replaced]
    places = {case: place for place, case in enumerate(order)}
    known = [row for row in [*kept, *new] if row["case"] in places]
    return sorted(known, key=lambda row: (places[row["case"]], row["device"]))


def with_run(meta: Meta, run: Meta) -> Meta:
    """meta with a run added; earlier runs keep the cases that are still theirs."""
    taken = {(case, run["device"]) for case in run["cases"]}
    runs = [
        {**old, "cases": [case for case in old["cases"] if (case, old["device"]) not in taken]}
        for old in meta["runs"]
    ]
    return {**meta, "runs": [old for old in runs if old["cases"]] + [run]}


def about(request: Request, setup: Setup, cases: Sequence[str]) -> Meta:
    """How rows were made: command, machine and versions."""
    return {
        "cases": list(cases),
        "device": str(setup.device),
        "command": request.command(),
        "rounds": setup.rounds,
        "threads": setup.threads,
        "machine": machine(setup.device),
        "versions": current_versions(),
        "peers": dict(setup.peers.versions) if setup.peers else None,
    }


def machine(device: torch.device) -> Meta:
    """What the figures were measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }


def write_rows(out: Path, rows: Sequence[Row], meta: Meta) -> None:
    """<out>/benchmark.json, a row a line, with null for what is not finite; its meta file; and the table.

    Raises ConfigError for a file that cannot be written.
    """
    lines = ",\n ".join(json.dumps(plain(row), allow_nan=False) for row in rows)
    write_output(out / ROWS, f"[{lines}]\n")
    write_output(out / META, json.dumps(plain(meta), indent=1) + "\n")
    write_output(out / TABLE, table(rows) + "\n")


def table(rows: Sequence[Row]) -> str:
    """One line a row: what it took, its floor, how often it takes that, and its speed against the naive one's."""
    heads = ("case", "device", "mode", "median", "spread", "floor", "x floor", "x naive", "per second")
    lines = [heads, *(_line(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    left = (0, 1, 2)
    return "\n".join(
        "  ".join(
            text.ljust(w) if i in left else text.rjust(w)
            for i, (text, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _line(row: Row) -> tuple[str, ...]:
    begin = row["case"], row["device"], row["mode"]
    if row["median_s"] is None:
        size, least, cuda = (row[f"{name}_bytes"] for name in ("peak", "floor", "cuda"))
        held = f"{size / GIB:.2f} GiB", "", f"{least / GIB:.2f} GiB", f"{size / least:.1f}", ""
        return *begin, *held, f"{cuda / GIB:.2f} GiB cuda" if cuda else ""
    median, floor, naive, rate = (row[k] for k in ("median_s", "floor_s", "times_naive", "per_second"))
    return (
        *begin,
        seconds(median),
        f"{row['spread']:.0%}",
        "-" if floor is None else seconds(floor),
        "-" if floor is None else f"{median / floor:.1f}",
        "-" if naive is None else f"{naive:.2f}",
        f"{rate:,.{0 if rate >= 100 else 2}f} {row['unit']}",
    )


def seconds(value: float) -> str:
    """A duration in the unit that suits it.

    >>> [seconds(s) for s in (2.5, 0.0381, 0.00000412)]
    ['2.50 s', '38.1 ms', '4.12 us']
    """
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= size or unit == "us":
            return f"{value / size:.3g} {unit}"
    raise AssertionError("every value has a unit")
