"""From a grid and a command line to its points: checked configurations, each with a run folder of its own."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hydra.core.override_parser.types import Override

from mbrl.conf.compose import Composer, composer, parse
from mbrl.conf.files import digest_of
from mbrl.conf.grid_file import Block, Grid, load_grid
from mbrl.conf.stack import GridPoint
from mbrl.core.errors import ConfigError

MAX_POINTS = 10_000
MAX_NAME = 120
"""Letters of a folder name before its digest; file systems take 255."""
REFUSED = {
    "overwrite": "a grid never replaces a run; remove the run's folder, or choose another out=",
    "resume": "a grid resumes by itself whatever its folder already holds",
    "hydra/sweeper": "a grid lists its points itself; choose where they run with hydra/launcher=...",
    "hydra.sweeper.params": "a grid lists its points itself; write KEY=a,b",
    "hydra.mode": "a grid is run with -m",
}
NO_FILE = Grid("sweep", "", "", (), ({},))
"""What the lists of a command line without +grid= are laid over."""


@dataclass(frozen=True)
class GridPlan:
    """A grid's points in order, each once. dropped: points listed twice, "this is that" by name."""

    name: str
    folder: Path
    points: tuple[GridPoint, ...]
    dropped: tuple[str, ...] = ()


def plan_grid(overrides: Sequence[str], config_dir: str | None = None) -> GridPlan:
    """The points that a command line asks for, +grid=<name> among its overrides or not.

    A key on the command line replaces that key in the grid; one with a list (a,b) is an axis. An option that only
    some blocks vary goes to these alone. Raises ConfigError for an unknown grid or option, for a sweep that only
    plugins understand, and naming the point for a value that does not fit.
    """
    with composer(config_dir) as compose:
        given = [o for o in parse(overrides, compose.loader) if not o.is_hydra_override()]
        _check(parse(overrides))
        named = [o for o in given if o.key_or_group == "grid"]
        grid = load_grid(_single(named[-1]), config_dir) if named else NO_FILE
        folder = Path(next((_single(o) for o in given if o.key_or_group == "out"), f"runs/{grid.name}"))
        ours = {o.get_key_element().lstrip("+"): o for o in given if o.key_or_group not in ("grid", "out")}
        return _composed(grid, folder, ours, compose)


def _check(given: Sequence[Override]) -> None:
    """Raise ConfigError for options that mean nothing in a grid."""
    for override in given:
        for key, why in REFUSED.items():
            name = override.key_or_group
            if (name == key or name.startswith(f"{key}.")) and override.value() is not False:
                raise ConfigError(f"{override.input_line}: {why}")


def _single(override: Override) -> str:
    value = override.value()
    if override.is_sweep_override() or not str(value or ""):
        raise ConfigError(f"{override.input_line}: one {override.key_or_group} at a time")
    if "${" in str(value):
        raise ConfigError(
            f"{override.input_line}: the points share this, so it cannot refer to their options"
        )
    return str(value)


def _composed(grid: Grid, folder: Path, given: Mapping[str, Override], compose: Composer) -> GridPlan:
    lines = [_meant_for(block, given, grid) for block in grid.blocks]
    blocks = [_replaced(block, line) for block, line in zip(grid.blocks, lines, strict=True)]
    own = _own(grid)
    names = _short_names({key for block in blocks for key in block})
    if sum(math.prod(map(len, block.values())) for block in blocks) > MAX_POINTS:
        raise ConfigError(f"grid {grid.name}: more than {MAX_POINTS} points")
    found: dict[str, GridPoint] = {}
    dropped = []
    fixed = {o.get_key_element().lstrip("+"): o for o in own}
    for block, line in zip(blocks, lines, strict=True):
        base = [str(o.input_line) for key, o in (fixed | line).items() if key not in block]
        for settings in _product(block):
            try:
                point = _point(folder, base, settings, names, compose)
            except ConfigError as error:
                raise ConfigError(
                    f"{error}, of grid {grid.name}" if grid is not NO_FILE else str(error)
                ) from error
            digest = point.name[-8:]
            if digest in found:
                dropped.append(f"{point.name} is {found[digest].name}")
            found.setdefault(digest, point)
    return GridPlan(grid.name, folder, tuple(found.values()), tuple(dropped))


def _own(grid: Grid) -> list[Override]:
    """The overrides of the file. Raises ConfigError, naming the grid, for what does not belong in one."""
    entries = [f"{key}={value}" for block in grid.blocks for key, values in block.items() for value in values]
    try:
        parsed = parse([*grid.overrides, *entries])
        _check(parsed)
    except ConfigError as error:
        raise ConfigError(f"grid {grid.name}: {error}") from error
    for override in parsed:
        text = f"grid {grid.name}: {override.input_line}"
        if override.key_or_group in ("grid", "out") or override.is_hydra_override():
            raise ConfigError(f"{text}: this belongs on the command line")
        if override.is_sweep_override():
            raise ConfigError(f"{text}: one value is meant here; blocks list values, KEY: [a, b]")
    return parsed[: len(grid.overrides)]


def _meant_for(block: Block, given: Mapping[str, Override], grid: Grid) -> dict[str, Override]:
    """What of the command line a block takes: all but options (agent.beta) that only other blocks vary, since its
    own parts need not have them."""
    elsewhere = {key for other in grid.blocks for key in other if "." in key} - block.keys()
    return {key: override for key, override in given.items() if key not in elsewhere}


def _replaced(block: Block, given: Mapping[str, Override]) -> Block:
    """The block with the command line's values in place of its own, and the command line's lists as axes."""
    block = dict(block)
    for key, override in given.items():
        if key in block or override.is_sweep_override():
            block[key] = _values(override)
    return block


def _values(override: Override) -> list[str]:
    """The values of one override, as the command line reads them."""
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    if not override.is_discrete_sweep():
        raise ConfigError(
            f"{override.input_line}: only sweeper plugins read this; write KEY=a,b or KEY=range(0,3)"
        )
    values = list(itertools.islice(override.sweep_string_iterator(), MAX_POINTS + 1))
    if not values:
        raise ConfigError(f"{override.input_line}: lists no values")
    return values


def _product(block: Block) -> Iterator[dict[str, str]]:
    """{option: value} of every point of a block, the last option varying fastest."""
    for values in itertools.product(*block.values()):
        yield dict(zip(block, values, strict=True))


def _point(
    folder: Path,
    base: Sequence[str],
    settings: Mapping[str, str],
    names: Mapping[str, str],
    compose: Composer,
) -> GridPoint:
    """One point. Raises ConfigError as `compose` does, with the point's name."""
    readable = "-".join(f"{names[key]}={_word(value)}" for key, value in settings.items())
    try:
        config = compose([*base, *(f"{key}={value}" for key, value in settings.items())])
    except ConfigError as error:
        raise ConfigError(f"{error} (in the point {readable or 'without a name'})") from error
    name = "-".join(filter(None, (readable[:MAX_NAME], digest_of(config))))
    return GridPoint(name, replace(config, out=str(folder / name)))


def _word(value: str) -> str:
    """A value as part of a folder's name: -200, 0.5, 1-2 for [1,2], a-b for a/b."""
    return re.sub(r"[^\w.+-]+", "-", re.sub(r"[\[\]{}'\"\\]", "", value))


def _short_names(keys: set[str]) -> dict[str, str]:
    """An option's last word, or the whole where two end alike."""
    last = {key: key.rpartition(".")[2] for key in keys}
    return {key: word if list(last.values()).count(word) == 1 else key for key, word in last.items()}
