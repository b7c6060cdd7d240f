"""Cells and options of the studies that have a world of their own: dataclasses filled from plain values."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any, TypeVar

from mbrl.conf.compose import parse
from mbrl.conf.studies import axes_of, load_study
from mbrl.core.errors import ConfigError, unknown_name
from mbrl.study.cells import choose, number
from mbrl.study.request import Request

CellT = TypeVar("CellT")
PlanT = TypeVar("PlanT")


def plan_of(request: Request, cell: type[CellT], plan: type[PlanT]) -> tuple[list[CellT], PlanT]:
    """The cells that the request asks for, and what they share: axes are fields of `cell`, options of `plan`.

    Raises ConfigError for an axis, value or option that is not known, or a value of the wrong type.
    """
    study = load_study(request.study)
    scale = study.scales[request.scale]
    chosen = choose(scale.cells, request.only or {}, axes_of(study, request.scale))
    typed = [{axis: number(value) for axis, value in values.items()} for values in chosen]
    options = {o.key_or_group: o.value() for o in parse([*scale.overrides, *request.overrides])}
    cells = [filled(cell, values, request.study) for values in typed]
    return cells, filled(plan, options, request.study)


def filled(kind: type, values: Mapping[str, Any], study: str) -> Any:
    """An instance of a dataclass of plain values. Raises ConfigError for an unknown field or a wrong type."""
    known = {field.name: field for field in fields(kind)}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(unknown_name(f"option of study={study}", name, known))
        wanted = type(known[name].default) if known[name].default is not MISSING else str
        if not _fits(value, wanted):
            raise ConfigError(f"{name} must be {WORDS[wanted]}, got {value!r}")
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


def digest_of(cell: Any, plan: Any) -> str:
    """Eight hex digits that stand for all settings of a cell."""
    settings = json.dumps([asdict(cell), asdict(plan)], sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()[:8]


WORDS = {str: "a name", int: "a whole number", float: "a number", bool: "true or false", tuple: "a list"}


def _fits(value: Any, wanted: type) -> bool:
    if wanted in (int, float) and isinstance(value, bool):
        return False
    accepted: dict[type, type | tuple[type, ...]] = {float: (int, float), tuple: list}
    return isinstance(value, accepted.get(wanted, wanted))
