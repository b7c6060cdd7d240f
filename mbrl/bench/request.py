"""What the command line of scripts/benchmark.py asks for."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbrl.bench.registry import PARTS
from mbrl.bench.sizes import SCALES
from mbrl.conf.cli import check_folder
from mbrl.conf.compose import parse
from mbrl.core.errors import ConfigError, unknown_name
from mbrl.study.request import text, texts

KEYS = ("only", "modes", "out", "scale", "repeat", "threads", "device", "peers")
REPEAT = {"full": 7, "debug": 2}
"""Rounds at each scale, where none are asked for."""


@dataclass(frozen=True)
class Request:
    """only: parts, or beginnings of case names ("update/N10"); all parts if empty. modes: names as mbrl.bench.modes
    takes them; all that the device can run if empty. repeat: rounds of timing. threads: None for one a core."""

    only: tuple[str, ...]
    modes: tuple[str, ...]
    out: Path
    scale: str
    repeat: int
    threads: int | None
    device: str
    peers: str | None

    def command(self) -> str:
        """The command line that asks for the same."""
        values = {key: getattr(self, key) for key in KEYS}
        lists = {key: f"[{','.join(value)}]" for key, value in values.items() if isinstance(value, tuple)}
        given = [f"{k}={v}" for k, v in (values | lists).items() if v not in (None, "[]")]
        return shlex.join(["python", "scripts/benchmark.py", *given])


def read_request(args: Sequence[str]) -> Request:
    """Key=value arguments in Hydra's grammar, as study.py takes them.

    Raises ConfigError for an unknown key, part or scale, a count below 1, and an `out` that cannot be a folder.
    """
    given: dict[str, Any] = {}
    for override in parse(args):
        key = override.key_or_group
        if override.is_sweep_override():
            raise ConfigError(f"{override.input_line}: write a list as {key}=[a,b]")
        if key not in KEYS:
            raise ConfigError(unknown_name("option", key, KEYS))
        given[key] = override.value()
    scale = text(given.get("scale", "full"))
    if scale not in SCALES:
        raise ConfigError(unknown_name("scale", scale, SCALES))
    only = tuple(texts(given["only"])) if "only" in given else ()
    for name in only:
        if name.split("/")[0] not in PARTS:
            raise ConfigError(unknown_name("part", name.split("/")[0], PARTS))
    out = text(given.get("out", "runs/benchmark" if scale == "full" else f"runs/benchmark-{scale}"))
    check_folder(out)
    return Request(
        only=only,
        modes=tuple(texts(given["modes"])) if "modes" in given else (),
        out=Path(out),
        scale=scale,
        repeat=_count(given, "repeat") or REPEAT[scale],
        threads=_count(given, "threads"),
        device=text(given.get("device", "auto")),
        peers=text(given["peers"]) if "peers" in given else None,
    )


def _count(given: Mapping[str, Any], key: str) -> int | None:
    """A whole number of at least 1; None where it is not given."""
    value = given.get(key)
    if key in given and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ConfigError(f"{key}={value}: must be a whole number, at least 1")
    return value
