"""How an observation shows a simulator state: Gymnasium's MuJoCo environments differ in little else."""

from dataclasses import dataclass

import numpy as np

CLIP = 10.0


@dataclass(frozen=True)
class Layout:
    """obs begins with positions (without the first `skipped`), then velocities, clipped to +-clip where set.

    nq, nv: numbers of positions and velocities; a state is both, [..., D = nq + nv] float64. angles: how many of
    the last positions are shown as their sines, then their cosines. An observation may go on after all this.
    """

    nq: int
    nv: int
    skipped: int = 0
    clip: float | None = None
    angles: int = 0

    @property
    def split(self) -> int:
        """Entries of an observation before the velocities."""
        return self.nq - self.skipped + self.angles

    @property
    def size(self) -> int:
        """Entries of an observation that show the state."""
        return self.split + self.nv

    def observe(self, state: np.ndarray) -> np.ndarray:
        """Those entries [..., size] for state [..., D]."""
        if self.clip is None and not self.angles:
            return state[..., self.skipped :].copy()
        shown = np.empty((*state.shape[:-1], self.size))
        plain = self.nq - self.skipped - self.angles
        shown[..., :plain] = state[..., self.skipped : self.skipped + plain]
        if self.angles:
            turned = state[..., self.nq - self.angles : self.nq]
            shown[..., plain : plain + self.angles] = np.sin(turned)
            shown[..., plain + self.angles : self.split] = np.cos(turned)
        velocity = state[..., self.nq :]
        shown[..., self.split :] = velocity if self.clip is None else _clip(velocity, self.clip)
        return shown

    def complete(self, obs: np.ndarray) -> np.ndarray:
        """[...] bool: the observation [..., O] shows its whole state, up to skipped positions."""
        shown = obs[..., : self.size]
        known = np.isfinite(shown).all(-1)
        return known if self.clip is None else known & (np.abs(shown[..., self.split :]) < self.clip).all(-1)

    def restore(self, obs: np.ndarray) -> np.ndarray:
        """The state [..., D] that obs [..., O] shows, skipped positions 0; right where it is complete."""
        state = np.zeros((*obs.shape[:-1], self.nq + self.nv))
        plain = self.nq - self.skipped - self.angles
        state[..., self.skipped : self.skipped + plain] = obs[..., :plain]
        if self.angles:
            state[..., self.nq - self.angles : self.nq] = self._angles(obs)
        state[..., self.nq :] = obs[..., self.split : self.size]
        return state

    def shift(self, state: np.ndarray, shown: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The state [..., D] moved so that it shows `wanted` [..., O] where it shows `shown` [..., O].

        Positions and velocities move by the difference, exactly not at all where there is none. What is not shown
        stays: skipped positions, and a velocity of which both observations only say that it is out of bounds.
        """
        moved, plain = state.copy(), self.nq - self.skipped - self.angles
        moved[..., self.skipped : self.skipped + plain] += wanted[..., :plain] - shown[..., :plain]
        if self.angles:
            turn = self._angles(wanted) - self._angles(shown)
            moved[..., self.nq - self.angles : self.nq] += (turn + np.pi) % (2 * np.pi) - np.pi
        seen, want = (x[..., self.split : self.size] for x in (shown, wanted))
        velocity = moved[..., self.nq :]
        if self.clip is None:
            velocity += want - seen
            return moved
        hidden = np.abs(seen) >= self.clip
        out = hidden & (_clip(want, self.clip) == seen)
        velocity[:] = np.where(out, velocity, np.where(hidden, want, velocity + (want - seen)))
        return moved

    def _angles(self, obs: np.ndarray) -> np.ndarray:
        """Angles in (-pi, pi] from their sines and cosines."""
        first = self.nq - self.skipped - self.angles
        sine = obs[..., first : first + self.angles]
        return np.arctan2(sine, obs[..., first + self.angles : self.split])


def _clip(x: np.ndarray, bound: float) -> np.ndarray:
    return np.clip(x, -bound, bound)
