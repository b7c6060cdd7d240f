"""From a command line's overrides to a checked, plain Config."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from hydra import compose as hydra_compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mbrl.conf.choices import config_loader
from mbrl.conf.explain import explain, explain_missing, strict_booleans, unknown_key
from mbrl.conf.schema import Config
from mbrl.conf.store import CONFIG_NAME, OPEN
from mbrl.conf.validate import validate
from mbrl.core.errors import ConfigError

HYDRA_ERRORS = (HydraException, OmegaConfBaseException, ValueError)
"""What Hydra raises for a command line it does not accept; ValueError for `group=null`."""


def compose(overrides: Sequence[str] = (), *, config_dir: str | None = None) -> Config:
    """The configuration that `overrides` ask for, e.g. ["agent=edac", "seeds=[0,1]"], checked in full.

    config_dir: a folder with the user's own options, searched beside ours.
    Raises ConfigError naming the option at fault, with the nearest valid names or the type expected.
    """
    return to_plain(compose_raw(overrides, config_dir=config_dir))


def compose_raw(overrides: Sequence[str], *, config_dir: str | None = None) -> DictConfig:
    """As `compose`, before references are resolved and values are checked against each other."""
    parsed = parse(overrides)
    with config_loader(config_dir) as loader:
        try:
            raw = hydra_compose(CONFIG_NAME, open_up(overrides))
        except HYDRA_ERRORS as error:
            raise explain(error, parsed, loader) from error
    strict_booleans(raw, parsed)
    return raw


def open_up(overrides: Sequence[str]) -> list[str]:
    """Let dictionaries of the user's own grow without Hydra's `+`: dataset.env_kwargs={a: 1} is meant as it is."""
    return [f"++{text}" if text.startswith(OPEN) else text for text in overrides]


def parse(overrides: Sequence[str]) -> list[Override]:
    """Overrides by Hydra's grammar. Raises ConfigError for text that is not key=value."""
    parsed = []
    for text in overrides:
        try:
            parsed += OverridesParser.create().parse_overrides([text])
        except HYDRA_ERRORS as error:
            raise ConfigError(
                f"cannot read {text!r}: write key=value; a value with spaces or any of =,{{}}[]() needs quotes "
                "twice, as in 'dataset.source=\"/my data/file.hdf5\"'"
            ) from error
    return parsed


def to_plain(raw: DictConfig) -> Config:
    """Dataclasses all the way down, validated. Raises ConfigError for missing, unknown or impossible values."""
    explain_missing(raw)
    try:
        config = OmegaConf.to_object(raw)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {str(error).splitlines()[0]}") from error
    if not isinstance(config, Config):
        raise ConfigError(
            "config.yaml must start from the schema: `defaults: [schema@_global_: config, ...]`"
        )
    _closed(config, "")
    validate(config)
    return config


def _closed(node: Any, prefix: str) -> None:
    """Refuse keys that were forced in with `+key=value` beside the fields of the schema."""
    known = {f.name: getattr(node, f.name) for f in fields(node)}
    for name in vars(node).keys() - known.keys():
        raise ConfigError(unknown_key(f"{prefix}{name}", [f"{prefix}{k}" for k in known]))
    for name, value in known.items():
        if is_dataclass(value):
            _closed(value, f"{prefix}{name}.")
