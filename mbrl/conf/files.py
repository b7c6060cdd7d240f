"""A configuration as a file: <run>/config.yaml, written resolved and read back as the same dataclasses."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mbrl.conf.compose import to_plain
from mbrl.conf.schema import Config
from mbrl.conf.store import KINDS
from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.files import write_whole

MAY_DIFFER = ("train.updates", "train.progress", "device", "out", "resume", "overwrite")
"""What a continued run may change without becoming another experiment."""
CACHES = ("dynamics.cache", "dynamics.ensemble.cache", "source.diffusion.cache")
"""Where fitted models are kept."""
ELSEWHERE = ("out", "device", "resume", "overwrite", "train.progress", "dynamics.threads", *CACHES)
"""What leaves the experiment as it is: where it and its models lie, where it runs, and what it shows meanwhile."""


def digest_of(config: Config) -> str:
    """Eight hex digits that stand for all but ELSEWHERE; runs of the same digest come to the same."""
    kept = {key: value for key, value in _flat(asdict(config)).items() if key not in ELSEWHERE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8]


def save_config(path: Path | str, config: Config) -> None:
    """Write the configuration as yaml, replacing the file in one step. Raises ConfigError if it cannot be."""
    path = Path(path)
    try:
        write_whole(path, OmegaConf.to_yaml(OmegaConf.structured(config)))
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error})") from error


def load_config(path: Path | str) -> Config:
    """Inverse of save_config. Raises ConfigError for a file that is missing, not yaml or not of this schema."""
    path = Path(path)
    try:
        stored = OmegaConf.to_container(OmegaConf.load(path))
        raw = OmegaConf.structured(Config)
        for part, kinds in KINDS.items():
            raw[part] = OmegaConf.structured(_kind(part, kinds, stored))
        return to_plain(OmegaConf.merge(raw, stored))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}); is it a run folder's config.yaml?"
        ) from error
    except (OmegaConfBaseException, yaml.YAMLError, ConfigError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise ConfigError(f"{path}: not a configuration of this project, or damaged ({error})") from error


def _kind(part: str, kinds: dict[str, type], stored: Any) -> type:
    """The schema that the part's `name` stands for."""
    if not isinstance(stored, dict) or not isinstance(stored.get(part), dict):
        raise ConfigError(f"no section {part!r}; known: {', '.join(KINDS)}")
    if len(kinds) == 1:
        return next(iter(kinds.values()))
    name = stored[part].get("name")
    if not isinstance(name, str) or name not in kinds:
        raise ConfigError(unknown_name(f"{part}.name", str(name), kinds))
    return kinds[name]


def differences(new: Config, old: Config, *, ignore: Collection[str] = MAY_DIFFER) -> list[str]:
    """Settings that are not the same, as "agent.eta: 1.0, was 0.5"; for a run that is to be continued."""
    ours, theirs = _flat(asdict(new)), _flat(asdict(old))
    keys = [k for k in sorted(ours.keys() | theirs.keys()) if k not in ignore]
    return [f"{k}: {ours.get(k)}, was {theirs.get(k)}" for k in keys if ours.get(k) != theirs.get(k)]


def _flat(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in node.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
