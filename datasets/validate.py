"""Refuses columns that cannot be learned from, each with the key, the row and what would be right."""

from dataclasses import replace

import numpy as np

from mbrl.core.errors import DataError
from mbrl.datasets.record import Record

_RANKS = {
    "observations": "[N, O]",
    "actions": "[N, A]",
    "rewards": "[N]",
    "terminals": "[N]",
    "timeouts": "[N]",
    "next_observations": "[N, O]",
    "qpos": "[N, nq]",
    "qvel": "[N, nv]",
}
_FLAGS = ("terminals", "timeouts")
_FLOATS = ("observations", "actions", "rewards", "next_observations")


def clean(record: Record, where: str) -> Record:
    """The same rows with float32 numbers and boolean flags; qpos and qvel stay as they are.

    Raises DataError, naming `where`, the column and the first bad row, for columns that are empty, of a wrong
    type, rank or length, flags other than 0 and 1, and numbers that are not finite in float32.
    """
    columns = record.present()
    for name, values in columns.items():
        _check_type(name, values, where)
    rows = len(record) if record.observations.ndim else 1
    if rows == 0:
        raise DataError(f"{where}: empty dataset: observations has no rows")
    for name, values in columns.items():
        _check_shape(name, values, rows, where)
    if record.next_observations is not None and record.next_observations.shape != record.observations.shape:
        got, expected = record.next_observations.shape, record.observations.shape
        raise DataError(
            f"{where}: next_observations has shape {got}, observations {expected}: they must agree"
        )
    flags = {name: _flag(name, columns[name], where) for name in _FLAGS if name in columns}
    floats = {name: _finite(name, columns[name], where) for name in _FLOATS if name in columns}
    return replace(record, **flags, **floats)


def _check_type(name: str, values: np.ndarray, where: str) -> None:
    if values.dtype == object:
        raise DataError(f"{where}: {name} holds Python objects (ragged or pickled rows); store a plain array")
    if values.dtype.kind not in "fiub":
        raise DataError(f"{where}: {name} has type {values.dtype}; expected real numbers")
    if name == "actions" and values.dtype.kind != "f":
        raise DataError(
            f"{where}: actions has integer type {values.dtype}: a discrete action space, which is not supported; "
            "expected continuous actions [N, A] in [-1, 1]"
        )


def _check_shape(name: str, values: np.ndarray, rows: int, where: str) -> None:
    axes = _RANKS[name]
    rank = axes.count(",") + 1
    if values.ndim != rank:
        tail = (
            " (drop the trailing axis of length 1)"
            if values.ndim == rank + 1 and values.shape[-1] == 1
            else ""
        )
        raise DataError(f"{where}: {name} has shape {values.shape}, expected {axes}{tail}")
    if len(values) != rows:
        raise DataError(f"{where}: {name} has {len(values)} rows, observations has {rows}; they must agree")
    if 0 in values.shape:
        raise DataError(f"{where}: {name} has shape {values.shape}: no columns")


def _flag(name: str, values: np.ndarray, where: str) -> np.ndarray:
    flags = values.astype(bool)
    bad = flags != values
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f"{where}: {name} row {row} is {values[row]}; flags are 0 or 1")
    return flags


def _finite(name: str, values: np.ndarray, where: str) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        values32 = values.astype(np.float32, copy=False)
    good = np.isfinite(values32)
    if not good.all():
        index = tuple(int(i) for i in np.unravel_index(int(good.argmin()), good.shape))
        column = f", column {index[1]}" if len(index) > 1 else ""
        raise DataError(
            f"{where}: {name} row {index[0]}{column} is {values[index]}, not finite in float32 "
            f"({int((~good).sum())} such values in all)"
        )
    return values32
