"""Studies as files: what each one varies, cell by cell, at the sizes debug, cpu and paper."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mbrl.core.errors import ConfigError, unknown_name

FOLDER = Path(__file__).parent / "study"
SCALES = ("debug", "cpu", "paper")
ANY = "*"
"""The value of an axis that stands for every other value."""

Axes = dict[str, dict[str, list[str]]]


@dataclass
class AuditConf:
    """The reach audit of a cell (mbrl.run.build.audit), for studies that read it; our numbers."""

    starts: int = 500
    """Rollouts a seed."""
    mc_horizon: int = 300
    """Steps of a Monte-Carlo return."""


@dataclass
class ScaleConf:
    """A study at one size."""

    cost: str
    """How long it takes, and on what."""
    overrides: list[str] = field(default_factory=list)
    """Of every cell, after the study's own."""
    axes: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Values that mean something else at this size than in the study's own `axes`."""
    cells: list[dict[str, list[Any]]] = field(default_factory=list)
    """The grids: the values of each axis; the cells are their products, one grid after the other."""
    audit: AuditConf = field(default_factory=AuditConf)
    """How cells are audited, where the study reads audits."""


@dataclass
class StudyConf:
    """One figure or table.

    axes: {axis: {value: overrides}}. Where `{axis}` stands in an override, the cell's value of that axis is put
    in; the value "*" stands for all that are not named.
    """

    about: str
    """One sentence for --help."""
    source: str
    """What it reruns, and where that was published."""
    overrides: list[str] = field(default_factory=list)
    axes: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    scales: dict[str, ScaleConf] = field(default_factory=dict)


def study_names() -> list[str]:
    """Every study with a file."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def load_study(name: str) -> StudyConf:
    """The study of mbrl/conf/study/<name>.yaml. Raises ConfigError for an unknown name, with near matches."""
    if name not in study_names():
        raise ConfigError(unknown_name("study", name, study_names()))
    path = FOLDER / f"{name}.yaml"
    try:
        study = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(StudyConf), OmegaConf.load(path)))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
    if set(study.scales) != set(SCALES):
        raise ConfigError(f"{path}: scales must be {', '.join(SCALES)}, got {', '.join(study.scales)}")
    return study


def axes_of(study: StudyConf, scale: str) -> Axes:
    """The study's axes with the values that this scale defines in their place."""
    own = study.scales[scale].axes
    return {axis: {**study.axes.get(axis, {}), **own.get(axis, {})} for axis in {**study.axes, **own}}


def overrides_for(axes: Axes, settings: Mapping[str, str]) -> list[str]:
    """The overrides of one cell's settings {axis: value}. Raises ConfigError for a value its axis does not have."""
    found = []
    for axis, value in settings.items():
        known = axes[axis]
        if value not in known and ANY not in known:
            raise ConfigError(unknown_name(f"cells.{axis}", value, known))
        found += known.get(value, known.get(ANY))
    return [_filled(text, settings) for text in found]


def _filled(text: str, settings: Mapping[str, str]) -> str:
    """The override with the cell's values in place of {axis}; other braces are left as they are."""
    for axis, value in settings.items():
        text = text.replace(f"{{{axis}}}", value)
    return text
