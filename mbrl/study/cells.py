"""The cells of a study: their settings, their full configurations, and where each one lives."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from mbrl.conf import Config, compose
from mbrl.conf.compose import parse
from mbrl.conf.files import digest_of
from mbrl.conf.store import KINDS
from mbrl.conf.studies import ANY, Axes, axes_of, load_study, overrides_for
from mbrl.core.errors import ConfigError, unknown_name
from mbrl.study.request import CHOOSE, Request, prefixed, text

Settings = dict[str, str | int | float]


@dataclass(frozen=True)
class Cell:
    """One run of a study. settings: its value on every axis, numbers as numbers."""

    settings: Settings
    config: Config

    @property
    def folder(self) -> Path:
        """The run folder."""
        return Path(self.config.out)

    @property
    def name(self) -> str:
        """The settings, for people."""
        return " ".join(f"{axis}={value}" for axis, value in self.settings.items())


def plan(request: Request) -> list[Cell]:
    """Every cell that the request asks for, each with a configuration that has been checked in full.

    An option that some cells do not have, such as one of a model that they do without, goes to the others.
    Raises ConfigError, naming the cell, for options that do not fit, for one that the study itself varies, and
    where no cell is left.
    """
    study = load_study(request.study)
    axes, scale = axes_of(study, request.scale), study.scales[request.scale]
    cells, used = {}, set()
    for values in choose(scale.cells, request.only or {}, axes):
        settings = {axis: number(value) for axis, value in values.items()}
        varied = overrides_for(axes, values)
        _check_free(request.overrides, varied)
        config, kept = _composed([*study.overrides, *scale.overrides, *varied], request.overrides, settings)
        used |= set(kept)
        digest = digest_of(config)
        place = folder_for(request.out, settings, digest)
        cells[digest] = Cell(settings, replace(config, out=str(place)))
    for left in (override for override in request.overrides if override not in used):
        # No cell has it: say so as train.py would.
        _named([*study.overrides, *scale.overrides, *varied, left], settings)
    return list(cells.values())


def choose(
    grids: Sequence[Mapping[str, Sequence[Any]]], only: Mapping[str, Sequence[str]], axes: Axes
) -> list[dict[str, str]]:
    """The settings {axis: value} of every cell of the grids, in order, each once.

    only: values of an axis to keep. Those that no grid has, but the axis does, join the first grid with that
    axis; on an axis that takes any value, they are run in place of the grid's, and on one that is in no grid, in
    every cell. Raises ConfigError for an axis or a value that the study does not know.
    """
    named = [{axis: list(map(text, values)) for axis, values in grid.items()} for grid in grids]
    for axis, values in only.items():
        _check_known(axis, values, axes)
        if not any(axis in grid for grid in named):
            named = [{**grid, axis: list(values)} for grid in named]
        having = [grid for grid in named if axis in grid]
        for grid in having:
            grid[axis] = list(values) if ANY in axes[axis] else [v for v in grid[axis] if v in values]
        having[0][axis] += [v for v in values if not any(v in grid[axis] for grid in having)]
    products = [dict(zip(grid, v, strict=True)) for grid in named for v in itertools.product(*grid.values())]
    if not products:
        raise ConfigError(
            f"no cell has all of {', '.join(f'{CHOOSE}{a}={list(v)}' for a, v in only.items())}"
        )
    return [cell for i, cell in enumerate(products) if cell not in products[:i]]


def _check_known(axis: str, values: Sequence[str], axes: Axes) -> None:
    if axis not in axes:
        raise ConfigError(unknown_name("axis", f"{CHOOSE}{axis}", prefixed(axes)))
    for value in values:
        if value not in axes[axis] and ANY not in axes[axis]:
            raise ConfigError(unknown_name(f"{CHOOSE}{axis}", value, axes[axis]))


def folder_for(out: Path, settings: Settings, digest: str) -> Path:
    """<out>/cells/<values>-<digest>, or the folder another study in `out` gave the same configuration."""
    same = sorted((out / "cells").glob(f"*-{digest}"))
    words = re.sub(r"[^\w.-]+", "-", "-".join(map(str, settings.values())))
    return same[0] if same else out / "cells" / f"{words[:80]}-{digest}"


def number(value: str) -> str | int | float:
    """A number where the text is one."""
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _composed(own: list[str], overrides: Sequence[str], settings: Settings) -> tuple[Config, Sequence[str]]:
    """The configuration of a cell, and those of the overrides that it has options for."""
    try:
        return compose([*own, *overrides]), overrides
    except ConfigError:
        keys = {override: parse([override])[0].key_or_group for override in overrides}
        if not all(map(_possible, keys.values())):
            _named([*own, *overrides], settings)
        base = _named(own, settings)
        kept = [override for override, key in keys.items() if _has(base, key)]
        return _named([*own, *kept], settings), kept


def _named(overrides: list[str], settings: Settings) -> Config:
    """As `compose`, with the cell's name in its errors."""
    try:
        return compose(overrides)
    except ConfigError as error:
        name = " ".join(f"{axis}={value}" for axis, value in settings.items())
        raise ConfigError(f"{error} (in the cell {name})") from error


def _possible(key: str) -> bool:
    """Whether some kind of model, source, agent, ... has this option; single words are left to `compose`."""
    part, _, name = key.partition(".")
    known = {f.name for kind in KINDS.get(part, {}).values() for f in fields(kind)}
    return not name or name.split(".")[0] in known


def _has(node: Any, key: str) -> bool:
    """Whether a configuration has this dotted option; single words may be groups, which all of them have."""
    first, _, rest = key.partition(".")
    if isinstance(node, dict) or (not rest and isinstance(node, Config)):
        return True
    return hasattr(node, first) and (not rest or _has(getattr(node, first), rest))


def _check_free(own: Sequence[str], varied: Sequence[str]) -> None:
    """Raise ConfigError if the request sets what the study varies: every cell would be the same."""
    taken = {override.key_or_group for override in parse(varied)}
    for override in parse(own):
        if override.key_or_group in taken:
            raise ConfigError(
                f"{override.input_line}: this is what the study varies; choose cells with {CHOOSE}<axis>=[...]"
            )
