"""Reward maps r(s) on the plane, s in R^2, for the simple environment. All constants are ours.

A map says nothing of where rollouts may go: a family's radius is to be read against the reach of the rollouts
(mbrl.dynamics.simple_world: |s|_inf <= 2 + k). Every map is a pure function of states [..., 2], gives [...],
and follows their type and device.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

RewardMap = Callable[[Tensor], Tensor]
Norm = Callable[[Tensor], Tensor]


def sup(state: Tensor) -> Tensor:
    """max(|x|, |y|): the norm in which a step is at most 1 and reach is a ball."""
    return state.abs().amax(-1)


def euclid(state: Tensor) -> Tensor:
    """sqrt(x^2 + y^2)."""
    return torch.linalg.vector_norm(state, dim=-1)


def slope_then_cliff(
    top: float = 11.0, rise: float = 0.1, fall: float = 2.0, norm: Norm = euclid
) -> RewardMap:
    """rise * n up to the norm n = top, then rise * top - fall * (n - top), without a floor."""

    def reward(state: Tensor) -> Tensor:
        n = norm(state)
        return torch.where(n < top, rise * n, rise * top - fall * (n - top))

    return reward


def plateau(
    inner: float,
    outer: float,
    *,
    tilt: float = 0.0,
    floor: float = -1.0,
    steep: float = 1.0,
    norm: Norm = sup,
) -> RewardMap:
    """0 in the middle, rising to 1 at n = inner, 1 + tilt * (n - inner) up to n = outer, then falling to a floor.

    The rise is linear in n, the fall is linear over a width of `steep`. Values are bounded, so that no return
    is ruled by how far out a policy strays.
    """

    def reward(state: Tensor) -> Tensor:
        n = norm(state)
        flat = torch.where(n < inner, n / inner, 1.0 + tilt * (n - inner))
        top = 1.0 + tilt * (outer - inner)
        fallen = top + (floor - top) * ((n - outer) / steep).clamp(0.0, 1.0)
        return torch.where(n > outer, fallen, flat)

    return reward


def bowl(centre: tuple[float, float] = (0.0, 0.0), width: float = 8.0) -> RewardMap:
    """1 - |s - centre|^2 / width^2, floored at -1."""

    def reward(state: Tensor) -> Tensor:
        squared = (state - state.new_tensor(centre)).square().sum(-1)
        return (1.0 - squared / width**2).clamp_min(-1.0)

    return reward


def ring(radius: float, width: float = 1.5, norm: Norm = euclid) -> RewardMap:
    """exp(-(n - radius)^2 / (2 width^2))."""

    def reward(state: Tensor) -> Tensor:
        return torch.exp(-0.5 * ((norm(state) - radius) / width).square())

    return reward


def bumps(*peaks: tuple[float, float, float], width: float = 2.0) -> RewardMap:
    """Sum of Gaussian bumps (x, y, height) of one width."""

    def reward(state: Tensor) -> Tensor:
        places = state.new_tensor([p[:2] for p in peaks])
        heights = state.new_tensor([p[2] for p in peaks])
        squared = (state.unsqueeze(-2) - places).square().sum(-1)
        return (heights * torch.exp(-0.5 * squared / width**2)).sum(-1)

    return reward


def sines(wavelength: float) -> RewardMap:
    """(sin(2 pi x / wavelength) + sin(2 pi y / wavelength)) / 2: hills without end."""
    return lambda state: torch.sin(2 * math.pi * state / wavelength).mean(-1)


def walled(
    inside: RewardMap, outer: float, *, floor: float = -1.0, steep: float = 1.0, norm: Norm = sup
) -> RewardMap:
    """A map up to n = outer; beyond it, falling to the floor over a width of `steep`, from wherever it was."""

    def reward(state: Tensor) -> Tensor:
        share = ((norm(state) - outer) / steep).clamp(0.0, 1.0)
        return torch.lerp(inside(state), torch.full_like(share, floor), share)

    return reward


REWARD_MAPS: dict[str, RewardMap] = {
    # The first look of the project's notes: outward is better until 11, then a steep fall without end.
    "slope_cliff": slope_then_cliff(),
    "slope_cliff_sup": slope_then_cliff(norm=sup),
    # Plateaus that end at, before and after the last state that k = 10 steps can reach (n = 12).
    "plateau_10": plateau(5.0, 10.0),
    "plateau_12": plateau(5.0, 12.0),
    "plateau_14": plateau(5.0, 14.0),
    "plateau_12_steep": plateau(5.0, 12.0, floor=-5.0),
    "plateau_12_up": plateau(5.0, 12.0, tilt=0.02),
    "plateau_12_down": plateau(5.0, 12.0, tilt=-0.02),
    "plateau_12_sloping": plateau(5.0, 12.0, tilt=-0.05),
    "plateau_12_falling": plateau(5.0, 12.0, tilt=-0.1),
    # Tents: a ridge at n = 5, lower on both sides, with no cliff to fall from.
    "tent_5": plateau(5.0, 100.0, tilt=-0.3),
    "tent_5_flat": plateau(5.0, 100.0, tilt=-0.15),
    "tent_8": plateau(8.0, 100.0, tilt=-0.3),
    # Smooth maps whose best places lie well within reach, for contrast.
    "bowl": bowl((4.0, 4.0)),
    "ring_6": ring(6.0),
    "ring_10": ring(10.0, norm=sup),
    "goal": bumps((6.0, 6.0, 1.0)),
    "two_goals": bumps((5.0, 5.0, 1.0), (-5.0, -5.0, 0.6)),
    "sines_6": sines(6.0),
    "sines_6_walled": walled(sines(6.0), 12.0),
    "sines_12_walled": walled(sines(12.0), 12.0),
    "goal_walled": walled(bumps((6.0, 6.0, 1.0)), 12.0),
}
"""Every map a study can name; radii are meant for rollouts of k = 10 from [-2, 2]^2."""
