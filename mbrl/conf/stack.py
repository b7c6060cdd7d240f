"""Grid points in one process: `stack` lists values for options that members of one stack may differ in."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, get_args, get_type_hints

from mbrl.conf.schema import (
    ComboConf,
    Config,
    ConstantEdgeConf,
    MobileConf,
    RewardPenaltyConf,
    SacConf,
    TrainConf,
)
from mbrl.conf.schema_joint import MaddpgCqlConf, MasacConf, MatD3BcConf, MatD3Conf, OmarConf
from mbrl.core.errors import ConfigError, unknown_name

STACKABLE: dict[str, tuple[type, ...]] = {
    "agent.eta": (SacConf, MasacConf),
    "agent.alpha": (SacConf, MasacConf, MatD3BcConf),
    "agent.actor_lr": (SacConf, MasacConf, MatD3Conf),
    "agent.critic_lr": (SacConf, MasacConf, MatD3Conf),
    "agent.alpha_lr": (SacConf, MasacConf),
    "agent.target_entropy": (SacConf, MasacConf),
    "agent.beta": (MobileConf,),
    "agent.cql_weight": (ComboConf, MaddpgCqlConf),
    "agent.bc_weight": (MatD3BcConf,),
    "agent.coefficient": (OmarConf,),
    "penalty.coefficient": (RewardPenaltyConf,),
    "edge.cost": (ConstantEdgeConf,),
    "train.real_ratio": (TrainConf,),
}
"""Options that may differ between members, each with the kinds of part that have it."""


class GridPoint(NamedTuple):
    """A point by its readable name, "eta=0-real_ratio=0.5", and the configuration of the run it is by itself."""

    name: str
    config: Config


def points(config: Config) -> list[GridPoint]:
    """Every combination of the values in `stack`, the last option varying fastest; [] where it is empty.

    A point's configuration has single values, no stack, and the folder <out>/<name>. Raises ConfigError for an
    option that cannot be stacked, or that this configuration has not, and for anything but a list of different
    numbers.
    """
    options = _flat(config.stack)
    if not options:
        return []
    for path, values in options.items():
        _check(config, path, values)
    chosen = itertools.product(*options.values())
    return [_point(config, dict(zip(options, values, strict=True))) for values in chosen]


def whole(config: Config) -> Config:
    """What the parts of the whole stack are made from: every point's seeds, point after point, and in the place of
    a stacked option the list of its members' values. The configuration itself where nothing is stacked."""
    found, seeds = points(config), len(config.seeds)
    if not found:
        return config
    stacked = replace(config, seeds=config.seeds * len(found), stack={})
    for path in _flat(config.stack):
        stacked = _with(stacked, path, [_get(p.config, path) for p in found for _ in range(seeds)])
    return stacked


def _flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{dotted path: values}, from dotted keys or nested ones."""
    flat: dict[str, Any] = {}
    for name, value in node.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _check(config: Config, path: str, values: Any) -> None:
    part, _, name = path.partition(".")
    conf = getattr(config, part, None)
    if path not in STACKABLE and hasattr(conf, name):
        raise ConfigError(
            f"stack: {path} is the same for all members of a stack; these may differ: {', '.join(STACKABLE)}"
        )
    if path not in STACKABLE:
        raise ConfigError(f"stack: {unknown_name('option', path, STACKABLE)}")
    if not isinstance(conf, STACKABLE[path]):
        raise ConfigError(f"stack: {path} is not an option of {part}={getattr(conf, 'name', part)}")
    if not isinstance(values, list) or not values:
        raise ConfigError(f"stack: {path} needs a list of values, such as {path}: [0.1, 1], got {values!r}")
    nullable = type(None) in get_args(get_type_hints(type(conf))[name])
    for value in values:
        if not (_number(value) or (value is None and nullable)):
            raise ConfigError(f"stack: {path} takes numbers, got {value!r}")
    if len(set(values)) < len(values):
        raise ConfigError(f"stack: {path} lists a value twice: {values}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _point(config: Config, values: Mapping[str, float | None]) -> GridPoint:
    name = "-".join(f"{path.partition('.')[2]}={_text(value)}" for path, value in values.items())
    point = replace(config, stack={}, out=f"{config.out}/{name}")
    for path, value in values.items():
        point = _with(point, path, None if value is None else float(value))
    return GridPoint(name, point)


def _text(value: float | None) -> str:
    """As one would write it: 1, 0.05, null."""
    return "null" if value is None else repr(float(value)).removesuffix(".0")


def _get(config: Config, path: str) -> Any:
    part, _, name = path.partition(".")
    return getattr(getattr(config, part), name)


def _with(config: Config, path: str, value: Any) -> Config:
    part, _, name = path.partition(".")
    return replace(config, **{part: replace(getattr(config, part), **{name: value})})
