"""Data of several agents: an axis of agents in memory, their columns side by side in files."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mbrl.core.errors import ConfigError, DataError
from mbrl.core.joint import Layout
from mbrl.datasets.binding import text

ATTRIBUTE = "agents"
"""The attribute of a file that holds its layout, as JSON of Layout.as_dict()."""
FORMS = (
    "give one array [B, size] an agent in a list, or one padded array [B, N, size] with layout=Layout(...)"
)


def layout_from(attributes: Mapping[str, Any], where: str) -> Layout | None:
    """The layout in a file's attributes; None for a file of one agent. Raises DataError for anything malformed."""
    if ATTRIBUTE not in attributes:
        return None
    raw = text(attributes[ATTRIBUTE])
    try:
        return Layout.from_dict(json.loads(raw))
    except (json.JSONDecodeError, AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f"{where}: attribute {ATTRIBUTE} is {raw!r}, which is no layout of agents: {error}"
        ) from error


def check_columns(layout: Layout, observations: np.ndarray, actions: np.ndarray, where: str) -> None:
    """Raise DataError unless flat columns [B, sum O_i] and [B, sum A_i] have the widths of the layout."""
    for name, values, sizes in (
        ("observations", observations, layout.obs_dims),
        ("actions", actions, layout.action_dims),
    ):
        if values.shape[1] != sum(sizes):
            raise DataError(
                f"{where}: {name} has {values.shape[1]} columns; agents of sizes {sizes} need {sum(sizes)}, side "
                "by side and without padding"
            )


def flat_columns(
    observations: Any, actions: Any, next_observations: Any, layout: Layout | None, where: str
) -> tuple[Layout, np.ndarray, np.ndarray, np.ndarray | None]:
    """The layout, and observations, actions and next_observations with agents side by side, without padding.

    Each is a list of one array [B, size] an agent, or one array [B, N, size], padded with zeros at the end of each
    agent's row if a layout says which sizes are the agents' own. Raises DataError for anything else.
    """
    given = {"observations": observations, "actions": actions, "next_observations": next_observations}
    parts = {name: _parts(v, name, where) for name, v in given.items() if v is not None}
    if layout is None:
        layout = _layout(parts, where)
    sizes = {
        "observations": layout.obs_dims,
        "actions": layout.action_dims,
        "next_observations": layout.obs_dims,
    }
    flat = {name: _side_by_side(v, sizes[name], name, where) for name, v in parts.items()}
    return layout, flat["observations"], flat["actions"], flat.get("next_observations")


def unpadded_layout(observations: np.ndarray, actions: np.ndarray) -> Layout:
    """The layout of padded arrays [B, N, size] that nobody told of.

    What comes after an agent's last column that is not 0 in every row is padding; each agent has one at least.
    """
    return Layout(_sizes(observations), _sizes(actions))


def _sizes(padded: np.ndarray) -> tuple[int, ...]:
    used = (padded != 0).any(axis=0)
    return tuple(max(1, int(np.flatnonzero(row)[-1]) + 1 if row.any() else 1) for row in used)


def _parts(values: Any, name: str, where: str) -> list[np.ndarray] | np.ndarray:
    """A list of one array [B, size] an agent, or one array [B, N, size]."""
    if isinstance(values, Sequence):
        agents = [_array(v, f"{name} of agent {i}", where) for i, v in enumerate(values)]
        bad = next((i for i, v in enumerate(agents) if v.ndim != 2), None)
        if not agents or bad is not None:
            what = "an empty list" if not agents else f"of agent {bad}, shaped {agents[bad].shape}"
            raise DataError(f"{where}: {name} is {what}; {FORMS}")
        rows = {len(v) for v in agents}
        if len(rows) > 1:
            raise DataError(
                f"{where}: {name} has {[len(v) for v in agents]} rows for its agents; they must agree"
            )
        return agents
    array = _array(values, name, where)
    if array.ndim != 3:
        raise DataError(f"{where}: {name} has shape {array.shape}; {FORMS}")
    return array


def _array(values: ArrayLike, name: str, where: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError as error:  # what numpy says of ragged rows
        raise DataError(f"{where}: {name} is ragged (agents of unequal sizes?); {FORMS}") from error
    if array.dtype == object:
        raise DataError(f"{where}: {name} holds Python objects (agents of unequal sizes?); {FORMS}")
    return array


def _layout(parts: Mapping[str, list[np.ndarray] | np.ndarray], where: str) -> Layout:
    """From one array an agent, or from a padded array that has no padding."""
    sizes = {}
    for name in ("observations", "actions"):
        found = parts[name]
        if isinstance(found, np.ndarray):
            # Padding nobody told of would be learned from as if it were data.
            blank = [i for i in range(found.shape[1]) if len(found) and not found[:, i, -1].any()]
            if blank and found.shape[2] > 1:
                raise DataError(
                    f"{where}: the last column of {name} is 0 in all rows of agent {blank[0]}, like padding; pass "
                    "layout=Layout(obs_dims, action_dims) with the agents' own sizes"
                )
            sizes[name] = (found.shape[2],) * found.shape[1]
        else:
            sizes[name] = tuple(v.shape[1] for v in found)
    try:
        return Layout(sizes["observations"], sizes["actions"])
    except ConfigError as error:
        raise DataError(f"{where}: {error}") from error


def _side_by_side(
    parts: list[np.ndarray] | np.ndarray, sizes: tuple[int, ...], name: str, where: str
) -> np.ndarray:
    if isinstance(parts, np.ndarray):
        if parts.shape[1:] != (len(sizes), max(sizes)):
            raise DataError(
                f"{where}: {name} has shape {parts.shape}; agents of sizes {sizes} need "
                f"[B, {len(sizes)}, {max(sizes)}], padded with zeros"
            )
        for i, size in enumerate(sizes):
            wrong = (parts[:, i, size:] != 0).any(axis=1)
            if wrong.any():
                raise DataError(
                    f"{where}: {name} row {int(wrong.argmax())} of agent {i} is not 0 after its {size} entries: "
                    f"either the layout's sizes {sizes} are wrong, or this is no padding"
                )
        parts = [parts[:, i, :size] for i, size in enumerate(sizes)]
    widths = tuple(v.shape[1] for v in parts)
    if widths != sizes:
        raise DataError(f"{where}: {name} has agents of sizes {widths}, the layout says {sizes}")
    for i, values in enumerate(parts):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row, entry = (int(k) for k in np.argwhere(~np.isfinite(values))[0])
            raise DataError(f"{where}: {name} of agent {i}, row {row}, entry {entry} is {values[row, entry]}")
    return np.concatenate(parts, axis=1)
