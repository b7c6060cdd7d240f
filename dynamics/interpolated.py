"""Between a learned model and the truth, and beyond it to a network that has learned nothing.

The x-axis of return against model quality (Sims et al. 2024, fig. 1): weight -1 is the untrained network, 0 the
learned model, 1 the true dynamics.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.seeds import Streams
from mbrl.core.types import DynamicsStep, Prediction
from mbrl.dynamics.ensemble import Ensemble
from mbrl.dynamics.true_dynamics import Carry, TrueDynamics, truth_as_prediction


@dataclass(frozen=True)
class Both:
    """What the learned model carries, and the simulator."""

    learned: Any
    truth: Carry


class Interpolated:
    """next_obs and reward (1 - w) learned + w true for 0 <= w <= 1; (1 - |w|) learned + |w| untrained for w < 0.

    The simulator's state goes along and is moved to what the mixed next_obs shows, so every step is mixed from the
    same place. What an observation does not show (a root coordinate, a velocity beyond its clip) is the truth's
    for w > 0 and stays as it was for w <= 0, where nothing is simulated. Terminal by the environment's rule for
    w > 0, at the mixed state; by the learned model's for w <= 0, at the mixed next_obs.
    w = 0 is the learned model and w = 1 the truth, bit for bit, whatever the other one says.
    Raises ConfigError for a weight outside [-1, 1] and for one below 0 without `untrained`, and MismatchError for
    parts of unlike sizes.
    """

    def __init__(
        self, learned: Ensemble, truth: TrueDynamics, weight: float, untrained: Ensemble | None = None
    ) -> None:
        if not -1.0 <= weight <= 1.0:
            raise ConfigError(
                f"weight={weight}: from -1 (untrained) over 0 (learned) to 1 (the true dynamics)"
            )
        if weight < 0 and untrained is None:
            raise ConfigError(f"weight={weight} mixes in an untrained ensemble, and none was given")
        for name, other in (("truth", truth), ("untrained", untrained)):
            if other is not None and (other.obs_dim, other.action_dim) != (
                learned.obs_dim,
                learned.action_dim,
            ):
                raise MismatchError(
                    f"{name} has obs of {other.obs_dim} and actions of {other.action_dim} numbers, "
                    f"the learned model {learned.obs_dim} and {learned.action_dim}"
                )
        if untrained is not None and untrained.members != learned.members:
            raise MismatchError(
                f"untrained has {untrained.members} members, the learned model {learned.members}"
            )
        self.learned, self.truth, self.weight, self.untrained = learned, truth, weight, untrained
        self.obs_dim, self.action_dim = learned.obs_dim, learned.action_dim

    def begin(self, obs: Tensor, sim_state: Tensor | None = None) -> Both:
        """At sim_state, or at the states that obs shows; raises as TrueDynamics.begin does."""
        return Both(self.learned.begin(obs, sim_state), self.truth.begin(obs, sim_state))

    def step(
        self, carry: Both, obs: Tensor, action: Tensor, streams: Streams, *, members: bool = False
    ) -> DynamicsStep:
        """One mixed step; members: each member's prediction is mixed alike, so at w = 1 all agree on the truth."""
        learned = self.learned.step(carry.learned, obs, action, streams, members=members)
        mixed = self._with_truth if self.weight > 0 else self._with_untrained
        return mixed(carry, learned, obs, action, streams, members)

    def sim_state(self, carry: Both) -> Tensor:
        """qpos then qvel, [S, B, D] float64."""
        return self.truth.sim_state(carry.truth)

    def reconstructable(self, obs: Tensor) -> Tensor:
        """[..., B] bool: which observations [..., B, O] show their whole state."""
        return self.truth.reconstructable(obs)

    def _with_truth(
        self, carry: Both, learned: DynamicsStep, obs: Tensor, action: Tensor, streams: Streams, members: bool
    ) -> DynamicsStep:
        true = self.truth.step(carry.truth, obs, action, streams)
        next_obs, reward = (
            mix(a, b, self.weight)
            for a, b in ((learned.next_obs, true.next_obs), (learned.reward, true.reward))
        )
        moved = self.truth.moved(true.carry, next_obs)
        # The rule counts where the mixture is, and a row that had ended before this step stays so.
        moved = replace(moved, done=carry.truth.done | self.truth.terminal(moved))
        terminal = torch.from_numpy(moved.done).to(next_obs.device)
        prediction = None
        if members:
            certain = truth_as_prediction(true.next_obs, true.reward)
            prediction = mix_predictions(learned.prediction, certain, self.weight)
        return DynamicsStep(Both(learned.carry, moved), next_obs, reward, terminal, prediction)

    def _with_untrained(
        self, carry: Both, learned: DynamicsStep, obs: Tensor, action: Tensor, streams: Streams, members: bool
    ) -> DynamicsStep:
        next_obs, reward, terminal, prediction = learned[1:]
        if self.weight < 0:
            other = self.untrained.step(None, obs, action, streams, members=members)
            next_obs = mix(next_obs, other.next_obs, -self.weight)
            reward = mix(reward, other.reward, -self.weight)
            lost = ~(next_obs.isfinite().all(-1) & reward.isfinite())
            terminal = self.learned.termination(obs, action, next_obs) | lost
            if members:
                prediction = mix_predictions(prediction, other.prediction, -self.weight)
        moved = self.truth.moved(carry.truth, next_obs)
        return DynamicsStep(Both(learned.carry, moved), next_obs, reward, terminal, prediction)


def mix(a: Tensor, b: Tensor, weight: float) -> Tensor:
    """(1 - weight) a + weight b for 0 <= weight <= 1; at the ends exactly a or b, even beside a NaN."""
    if weight in (0.0, 1.0):
        return (b if weight else a).expand(torch.broadcast_shapes(a.shape, b.shape))
    return (1.0 - weight) * a + weight * b


def mix_predictions(a: Prediction, b: Prediction, weight: float) -> Prediction:
    """Means and deviations mixed member by member; the elites are a's. b may have a single member for all."""
    return Prediction(mix(a.mean, b.mean, weight), mix(a.std, b.std, weight), a.elites)
