"""What is wrong with a command line, in one line: the option at fault, the nearest names, the type wanted."""

import copy
import difflib
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from hydra import compose
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mbrl.conf.choices import group_names, options
from mbrl.conf.store import CONFIG_NAME, OPEN
from mbrl.core.errors import ConfigError, unknown_name


def explain(error: Exception, overrides: list[Override], loader: ConfigLoader) -> ConfigError:
    """The ConfigError to raise for a failed composition: the first override at fault, else Hydra's own words."""
    names = group_names(loader)
    chosen, values = [], []
    for override in overrides:
        group, option = override.key_or_group, override.value()
        if override.is_sweep_override():
            return ConfigError(f"{override.input_line} lists several values: add -m to run each of them")
        if override.is_delete():
            return ConfigError(f"{override.input_line}: no part can be removed; try {group}=none")
        if group not in names or isinstance(option, dict):
            values.append(override)
            continue
        chosen.append(override)
        known = options(loader, group)
        if option not in known:
            return ConfigError(unknown_name(f"{group} option", str(option), known))
    try:
        base = compose(CONFIG_NAME, [o.input_line for o in chosen])
    except (HydraException, OmegaConfBaseException):
        return ConfigError(" ".join(str(error).split()))
    return misfit(base, values, names) or ConfigError(" ".join(str(error).split()))


def misfit(base: DictConfig, values: list[Override], names: Iterable[str] = ()) -> ConfigError | None:
    """Lay the values one by one over the parts that were chosen; the error for the first that does not fit.

    names: groups, which are valid names too.
    """
    for key, value in _leaves(base, values):
        if not _exists(base, key):
            return ConfigError(unknown_key(key, [*_keys(base), *names]))
        try:
            OmegaConf.update(copy.deepcopy(base), key, value, merge=True)
        except OmegaConfBaseException:
            return ConfigError(wrong_type(key, value, field_type(base, key)))
    return None


def strict_booleans(raw: DictConfig, overrides: list[Override]) -> None:
    """Raise ConfigError where a flag is given anything but true or false; OmegaConf would take any number."""
    for key, value in _leaves(raw, overrides):
        if field_type(raw, key) == "bool" and not isinstance(value, bool):
            raise ConfigError(wrong_type(key, value, "true or false"))


def explain_missing(raw: DictConfig) -> None:
    """Raise ConfigError for values that have no default and were not given."""
    for key in _keys(raw):
        if key.startswith(OPEN):  # the user's own names, which may hold dots
            continue
        parent, name = _parent(raw, key)
        if OmegaConf.is_missing(parent, name):
            kind = OmegaConf.get_type(parent)
            help = {f.name: f.metadata.get("help", "") for f in fields(kind)} if is_dataclass(kind) else {}
            raise ConfigError(f"{key} is not given: add {key}=... ({help.get(name, 'no default')})")


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The message for a key that does not exist: the nearest whole keys, then those beside it.

    >>> unknown_key("agnet.eta", ["agent.eta", "agent.tau", "train.updates"])
    "unknown option 'agnet.eta'; did you mean 'agent.eta'? known: agent, train"
    """
    known = sorted(set(known))
    leaf = key.rpartition(".")[2]
    same_leaf = [k for k in known if k.rpartition(".")[2] == leaf]
    near = difflib.get_close_matches(key, same_leaf or known, n=2, cutoff=0.3 if same_leaf else 0.7)
    prefix = key.rpartition(".")[0]
    beside = [k for k in known if prefix and k.rpartition(".")[0] == prefix]
    beside = beside or sorted({k.partition(".")[0] for k in known})
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ";"
    return f"unknown option {key!r}{hint} known: {', '.join(beside)}"


def wrong_type(key: str, value: Any, expected: str) -> str:
    """The message for a value that does not fit its field.

    >>> wrong_type("train.updates", 1e6, "int")
    'train.updates: expected int, got 1000000.0; write 1000000'
    """
    whole = expected.startswith("int") and isinstance(value, float) and value.is_integer()
    hint = f"; write {int(value)}" if whole else ""
    return f"{key}: expected {expected}, got {value!r}{hint}"


def field_type(raw: DictConfig, key: str) -> str:
    """The type the schema gives `key`, as one would write it; "any value" where it leaves that open."""
    parent, name = _parent(raw, key)
    kind = OmegaConf.get_type(parent) if isinstance(parent, DictConfig) else None
    found = {f.name: f.type for f in fields(kind)} if is_dataclass(kind) else {}
    if name not in found:
        return "any value"
    return str(found[name]) if hasattr(found[name], "__args__") else found[name].__name__


def _parent(raw: DictConfig, key: str) -> tuple[Any, str]:
    path, _, name = key.rpartition(".")
    return (OmegaConf.select(raw, path) if path else raw), name


def _exists(raw: DictConfig, key: str) -> bool:
    """Whether the key is there to be set: a field, or anything below a field that takes any value."""
    parent, name = _parent(raw, key)
    return field_type(raw, key) != "any value" or (isinstance(parent, DictConfig) and name in parent)


def _leaves(raw: DictConfig, overrides: list[Override]) -> Iterator[tuple[str, Any]]:
    """Single settings of the schema's fields: agent={eta: 1} is agent.eta=1; Hydra's own left out."""
    pairs = [(o.key_or_group, o.value()) for o in overrides]
    while pairs:
        key, value = pairs.pop(0)
        node = OmegaConf.select(raw, key, throw_on_resolution_failure=False) if _exists(raw, key) else None
        if isinstance(value, dict) and is_dataclass(OmegaConf.get_type(node)):
            pairs = [(f"{key}.{name}", inner) for name, inner in value.items()] + pairs
        elif not key.startswith(("hydra.", *OPEN)) or (key in OPEN and not isinstance(value, dict)):
            yield key, value


def _keys(raw: DictConfig, prefix: str = "") -> Iterator[str]:
    """Every settable key, dotted."""
    for name in raw:
        yield f"{prefix}{name}"
        child = raw._get_node(name)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_missing():
            yield from _keys(child, f"{prefix}{name}.")
