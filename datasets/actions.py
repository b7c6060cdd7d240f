"""Actions in one scale: [-1, 1] of the environment's action space, whatever scale was recorded."""

import numpy as np

from mbrl.core.errors import DataError

Bounds = tuple[float | np.ndarray, float | np.ndarray]

# What float32 rounding of a rescaled bound can exceed 1 by, with room; larger excess is somebody's mistake.
TOLERANCE = 1e-5


def to_unit_scale(actions: np.ndarray, bounds: Bounds | None, where: str, clip: bool = False) -> np.ndarray:
    """Actions [N, A] mapped from `bounds` (low, high: numbers or [A]) to [-1, 1], float32; None: left as they are.

    clip: clip actions outside to the bounds, which is right where the environment did so itself.
    Raises DataError for impossible bounds, and for actions outside them, with the first row.
    """
    if bounds is not None:
        low, high = _checked(bounds, actions.shape[1], where)
        if (low != -1).any() or (high != 1).any():
            actions = (2 * (actions - low) / (high - low) - 1).astype(np.float32)
    outside = np.abs(actions) > 1 + TOLERANCE
    if outside.any() and not clip:
        row, column = (int(i) for i in np.unravel_index(int(outside.argmax()), outside.shape))
        raise DataError(
            f"{where}: actions row {row}, column {column} is {actions[row, column]:.6g}, outside [-1, 1] of the "
            f"action space ({int(outside.any(axis=1).sum())} such rows). If they are in the environment's own "
            "scale pass action_bounds=(low, high); if the environment clipped them pass clip_actions=True"
        )
    return np.clip(actions, -1.0, 1.0)


def to_native_scale(actions: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Actions [..., A] mapped from [-1, 1] to the bounds [A], clipped there; exact where those are -1 and 1."""
    return np.clip((low + high) / 2 + (high - low) / 2 * actions, low, high)


def _checked(bounds: Bounds, size: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    low, high = (np.asarray(b, dtype=np.float64) for b in bounds)
    for b in (low, high):
        if b.shape not in ((), (size,)):
            raise DataError(
                f"{where}: action_bounds are numbers or arrays of length {size}, got shape {b.shape}"
            )
    if not (np.isfinite(low) & np.isfinite(high) & (low < high)).all():
        raise DataError(
            f"{where}: action_bounds must be finite with low < high, got {bounds[0]}, {bounds[1]}"
        )
    return np.broadcast_to(low, (size,)), np.broadcast_to(high, (size,))
