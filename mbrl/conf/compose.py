"""From a command line's overrides to a checked, plain Config."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

from hydra import compose as hydra_compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mbrl.conf.choices import config_loader, group_names
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
    with composer(config_dir) as composed:
        return composed.raw(overrides)


@contextmanager
def composer(config_dir: str | None = None) -> Iterator["Composer"]:
    """To compose many command lines one after the other. Raises ConfigError if config_dir is not a folder."""
    with config_loader(config_dir) as loader:
        yield Composer(loader, OWN if config_dir is None else Bases())


class Bases(dict[tuple[str, ...], DictConfig]):
    """What choices of parts compose to, by the text of the choices; and the names of the parts there are."""

    groups: Sequence[str] = ()


OWN = Bases()
"""Those of the package's own files, which do not change while a process runs."""


class Composer:
    """Composes each choice of parts once, however many command lines differ in values only: 20 times as fast."""

    def __init__(self, loader: ConfigLoader, bases: Bases) -> None:
        self.loader, self.bases = loader, bases
        bases.groups = bases.groups or group_names(loader)

    def __call__(self, overrides: Sequence[str]) -> Config:
        """As `compose`."""
        return to_plain(self.raw(overrides))

    def raw(self, overrides: Sequence[str]) -> DictConfig:
        """As `compose_raw`."""
        parsed = parse(overrides)
        try:
            raw = self._composed(overrides)
        except HYDRA_ERRORS as error:
            raise explain(error, parsed, self.loader) from error
        strict_booleans(raw, parsed)
        return raw

    def _composed(self, overrides: Sequence[str]) -> DictConfig:
        """Parts first, then values, which is Hydra's own order."""
        opened = parse(open_up(overrides))
        values = [o for o in opened if self._sets_a_value(o)]
        parts = [o for o in opened if not self._sets_a_value(o)]
        if not all(isinstance(o.value(), str) for o in parts):
            # agent={eta: 1} and the like take their turn among the values.
            values, parts = [], opened
        raw = self._base(parts)
        ConfigLoaderImpl._apply_overrides_to_config(values, raw)
        return raw

    def _base(self, parts: Sequence[Override]) -> DictConfig:
        key = tuple(str(o.input_line) for o in parts)
        if key in self.bases:
            return copy.deepcopy(self.bases[key])
        found = hydra_compose(CONFIG_NAME, list(key))
        # Settings of Hydra's own (hydra.searchpath) may lead to files that do change.
        if not any(o.is_hydra_override() for o in parts):
            self.bases[key] = copy.deepcopy(found)
        return found

    def _sets_a_value(self, override: Override) -> bool:
        """Whether this is KEY=VALUE of a known part, not a choice of the part, nor a sweep or anything unusual."""
        usual = not override.is_sweep_override() and not override.is_hydra_override()
        changes = override.package is None and not (override.is_add() or override.is_delete())
        key = override.key_or_group
        return usual and changes and key not in self.bases.groups and "/" not in key


def open_up(overrides: Sequence[str]) -> list[str]:
    """Let dictionaries of the user's own grow without Hydra's `+`: dataset.env_kwargs={a: 1} is meant as it is."""
    return [f"++{text}" if text.startswith(OPEN) else text for text in overrides]


def parse(overrides: Sequence[str], loader: ConfigLoader | None = None) -> list[Override]:
    """Overrides by Hydra's grammar. Raises ConfigError for text that is not key=value.

    loader: knows the options that a sweep such as agent=glob(mopo*) stands for.
    """
    parsed = []
    for text in overrides:
        try:
            parsed += OverridesParser.create(loader).parse_overrides([text])
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
