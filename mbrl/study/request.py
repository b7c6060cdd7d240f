"""What the command line of scripts/study.py asks for."""

import difflib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbrl.conf import all_choices
from mbrl.conf.cli import check_folder
from mbrl.conf.compose import parse
from mbrl.conf.studies import SCALES, load_study, study_names
from mbrl.core.errors import ConfigError, unknown_name

OWN = ("study", "scale", "out")
CHOOSE = "cells."
"""Prefix of the options that say which values of an axis to run."""
REFUSED = {
    "resume": "a study resumes by itself whatever its out= already holds",
    "overwrite": "a study never replaces finished cells; start over in another out=",
    "stack": "a study has axes of its own; choose their values with cells.<axis>=[...]",
}


@dataclass(frozen=True)
class Request:
    """A study at a scale: `overrides` go to every cell; `only` says which values of an axis to run."""

    study: str
    scale: str
    out: Path
    overrides: tuple[str, ...] = ()
    only: Mapping[str, tuple[str, ...]] | None = None

    def command(self) -> str:
        """The command line that asks for the same."""
        chosen = [f"{CHOOSE}{axis}=[{','.join(values)}]" for axis, values in (self.only or {}).items()]
        own = [f"study={self.study}", f"scale={self.scale}", f"out={self.out}"]
        return shlex.join(["python", "scripts/study.py", *own, *chosen, *self.overrides])


def read_request(args: Sequence[str]) -> Request:
    """Key=value arguments in Hydra's grammar, as train.py takes them.

    Raises ConfigError for a missing or unknown study, scale or axis, for options that a study does not take, and
    for an `out` that cannot be a folder. Options of train.py are checked with the cells.
    """
    own: dict[str, Any] = {"scale": "debug"}
    only, overrides = {}, []
    for override in parse(args):
        key = override.key_or_group
        if override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line}: write a list as {key}=[a,b]; sweeps (a,b) are train.py's"
            )
        if key in OWN:
            own[key] = text(override.value())
        elif key.split(".")[0] in REFUSED:
            raise ConfigError(f"{override.input_line}: {REFUSED[key.split('.')[0]]}")
        elif key.startswith(CHOOSE):
            only[key.removeprefix(CHOOSE)] = tuple(texts(override.value()))
        else:
            _check_near(key)
            overrides.append(override.input_line)
    if "study" not in own:
        raise ConfigError(f"which study? add study=<name>; known: {', '.join(study_names())}")
    load_study(own["study"])
    if own["scale"] not in SCALES:
        raise ConfigError(unknown_name("scale", own["scale"], SCALES))
    out = own.get("out", f"runs/study/{own['study']}-{own['scale']}")
    check_folder(out)
    return Request(own["study"], own["scale"], Path(out), tuple(overrides), only)


def text(value: Any) -> str:
    """A value as the study's file names it: true and false in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def texts(value: Any) -> list[str]:
    """One value or a list of them, as text. Raises ConfigError for an empty list."""
    values = [text(v) for v in (value if isinstance(value, list) else [value])]
    if not values:
        raise ConfigError("an empty list leaves no cell to run: name at least one value")
    return values


def prefixed(axes: Iterable[str]) -> list[str]:
    """The options that choose values of these axes."""
    return [f"{CHOOSE}{axis}" for axis in sorted(axes)]


def _check_near(key: str) -> None:
    """Raise ConfigError for a slip of study=, scale= or out=, which train.py's options would not suggest."""
    top = key.split(".")[0]
    if difflib.get_close_matches(top, (*OWN, "cells"), n=1, cutoff=0.6):
        known = {"seeds", "device", *all_choices()}
        if top not in known:
            raise ConfigError(unknown_name("option", key, [*OWN, f"{CHOOSE}<axis>", *known]))
