"""Where the joint actions of a game's dataset come from: distributions on [-1, 1]^N by name."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, unknown_name

Sampler = Callable[..., Tensor]


def uniform(rows: int, agents: int, g: torch.Generator, *, low: float = -1.0, high: float = 1.0) -> Tensor:
    """Independent and uniform on [low, high]."""
    if not -1 <= low < high <= 1:
        raise ConfigError(f"data uniform: needs -1 <= low < high <= 1, got low={low}, high={high}")
    return low + (high - low) * _rand(rows, agents, g)


def quadrant(rows: int, agents: int, g: torch.Generator, *, signs: str = "+-") -> Tensor:
    """Uniform on the actions of these signs, one an agent ("+-": x >= 0, y <= 0); repeated for more agents."""
    if not signs or set(signs) - set("+-") or len(signs) > agents:
        raise ConfigError(f"data quadrant: signs={signs!r}; write one + or - an agent, such as '+-'")
    return _signs(signs, agents) * _rand(rows, agents, g)


def anti_correlated(rows: int, agents: int, g: torch.Generator, *, std: float = 0.2) -> Tensor:
    """x_i = (+u, -u, +u, ..) + normal noise of this std, u uniform on [-1, 1], reflected at the bounds."""
    return _line(rows, g, _signs("+-", agents), std)


def correlated(rows: int, agents: int, g: torch.Generator, *, std: float = 0.2) -> Tensor:
    """x_i = u + normal noise of this std, u uniform on [-1, 1], reflected at the bounds."""
    return _line(rows, g, _signs("+", agents), std)


def gaussian(
    rows: int, agents: int, g: torch.Generator, *, center: float | Sequence[float] = 0.0, std: float = 0.3
) -> Tensor:
    """Normal around a point, one number or one an agent, reflected at the bounds."""
    values = [float(center)] * agents if isinstance(center, int | float) else [float(c) for c in center]
    if len(values) != agents or max(map(abs, values)) > 1:
        raise ConfigError(
            f"data gaussian: center={center!r} needs {agents} numbers in [-1, 1], or one for all"
        )
    noise = torch.randn(rows, agents, generator=g, dtype=torch.float64)
    return reflect(torch.tensor(values, dtype=torch.float64) + _positive("std", std) * noise)


def mixture(
    rows: int,
    agents: int,
    g: torch.Generator,
    *,
    parts: Sequence[tuple[float, str, Mapping[str, Any]]] = ((0.5, "quadrant", {}), (0.5, "uniform", {})),
) -> Tensor:
    """Every row from one of the parts (weight, name, options); weights need not add up to one.

    By default half of the rows from one quadrant, and half from everywhere.
    """
    weights = torch.tensor([float(weight) for weight, _, _ in parts], dtype=torch.float64)
    if not len(parts) or bool((weights < 0).any()) or not bool(weights.sum() > 0):
        raise ConfigError(f"data mixture: needs parts with weights of at least 0, got {parts!r}")
    drawn = torch.stack([_sample(name, options, rows, agents, g) for _, name, options in parts])
    which = torch.multinomial(weights, rows, replacement=True, generator=g)
    return drawn[which, torch.arange(rows)]


DATA: dict[str, Sampler] = {
    "uniform": uniform,
    "quadrant": quadrant,
    "anti_correlated": anti_correlated,
    "correlated": correlated,
    "gaussian": gaussian,
    "mixture": mixture,
}
"""Distributions by name: (rows, agents, generator, **options) -> joint actions [rows, N] float64."""


def sample_actions(data: str, rows: int, agents: int, seed: int, **options: Any) -> Tensor:
    """Joint actions [rows, N, 1] float32.

    Raises ConfigError for an unknown name, an option that the distribution does not take, or fewer than one row.
    """
    if rows < 1:
        raise ConfigError(f"rows={rows}: a dataset needs at least one")
    g = torch.Generator().manual_seed(seed)
    return _sample(data, options, rows, agents, g).float().unsqueeze(-1)


def reflect(x: Tensor) -> Tensor:
    """Numbers outside [-1, 1] mirrored at the bounds until they are inside."""
    return 1 - ((x + 1).remainder(4) - 2).abs()


def _sample(data: str, options: Mapping[str, Any], rows: int, agents: int, g: torch.Generator) -> Tensor:
    if data not in DATA:
        raise ConfigError(unknown_name("data distribution", data, DATA))
    try:
        return DATA[data](rows, agents, g, **options)
    except TypeError as error:
        raise ConfigError(f"data {data} does not take {dict(options)}: {error}") from error


def _line(rows: int, g: torch.Generator, signs: Tensor, std: float) -> Tensor:
    """Points along the line through 0 in the direction of the signs, with noise."""
    along = 2 * _rand(rows, 1, g) - 1
    noise = torch.randn(rows, len(signs), generator=g, dtype=torch.float64)
    return reflect(along * signs + _positive("std", std) * noise)


def _signs(signs: str, agents: int) -> Tensor:
    """[N] of -1 and 1, the pattern repeated."""
    return torch.tensor([1.0 if signs[i % len(signs)] == "+" else -1.0 for i in range(agents)]).double()


def _rand(rows: int, columns: int, g: torch.Generator) -> Tensor:
    return torch.rand(rows, columns, generator=g, dtype=torch.float64)


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ConfigError(f"data: {name}={value}, must be greater than 0")
    return value
