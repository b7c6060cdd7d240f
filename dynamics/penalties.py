"""What a model's uncertainty costs in a rollout: penalties (reward, terminal, prediction) -> (reward, terminal).

Each is exactly nothing for a model without uncertainty, such as the true dynamics: the base procedure is left.
"""

from collections.abc import Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, DivergenceError
from mbrl.core.per_member import PerMember
from mbrl.core.seeds import Streams
from mbrl.core.types import Dynamics, Prediction, Transitions
from mbrl.dynamics.uncertainty import Measure, max_discrepancy

CHUNK = 16384
"""Rows a seed whose members' predictions are held at a time."""


class RewardPenalty:
    """r - lambda u(s, a), taken off the sampled reward (MOPO, Yu et al. 2020, sec. 4)."""

    def __init__(self, measure: Measure, coefficient: PerMember, **counted: str) -> None:
        """coefficient is lambda >= 0, one or one a seed; counted: `members` and `dims` for the measure, else its
        own defaults. Raises ConfigError for a coefficient below 0."""
        if not all(c >= 0 for c in (coefficient if isinstance(coefficient, Sequence) else [coefficient])):
            raise ConfigError(f"coefficient={coefficient}: uncertainty costs reward, so it is at least 0")
        self.measure = partial(measure, **counted)
        self.weight = torch.as_tensor(coefficient, dtype=torch.float64).unsqueeze(-1)

    def __call__(self, reward: Tensor, terminal: Tensor, prediction: Prediction) -> tuple[Tensor, Tensor]:
        """reward and terminal [S, B]; terminal as it is."""
        self.weight = self.weight.to(reward)  # kept where it is needed: a copy waits for the device
        return reward - self.weight * self.measure(prediction).to(reward.dtype), terminal


class MoreL:
    """-kappa and the end where u(s, a) > threshold, else nothing (MOReL, Kidambi et al. 2020, sec. 4).

    The paper sends such a step to a HALT state that pays -kappa for ever after. Here the step itself pays it, once,
    and ends the rollout as terminal, as in unifloral; the official code ends rollouts there and pays 0.
    """

    def __init__(
        self, threshold: float | Tensor, kappa: float, measure: Measure = max_discrepancy, **counted: str
    ) -> None:
        """threshold: one, or one a seed [S]; counted as for RewardPenalty."""
        self.threshold, self.kappa, self.measure = threshold, kappa, partial(measure, **counted)
        self.limit = torch.as_tensor(threshold, dtype=torch.float64).unsqueeze(-1)

    def __call__(self, reward: Tensor, terminal: Tensor, prediction: Prediction) -> tuple[Tensor, Tensor]:
        """reward and terminal [S, B]."""
        u = self.measure(prediction)
        self.limit = self.limit.to(u)
        # Not "u > threshold": where a member's prediction is not a number, nothing is known either.
        unknown = ~(u <= self.limit)
        return torch.where(unknown, -self.kappa, reward), terminal | unknown


@runtime_checkable
class Predicting(Protocol):
    """A model that can say what its members predict without drawing a sample."""

    def predict(self, obs: Tensor, action: Tensor) -> Prediction:
        """Prediction [S, E, B, O + 1] at obs [S, B, O] and action [S, B, A]."""


@torch.no_grad()
def discrepancy_on(
    dynamics: Dynamics, data: Transitions, *, seeds: Sequence[int] = (0,), chunk: int = CHUNK, **counted: str
) -> Tensor:
    """max_discrepancy at every (s, a) of flat data [n, ...], for each of S = len(seeds): [S, n] on data's device.

    MOReL's threshold is a multiple of its largest value (official code: `pessimism_coef`). Deterministic: a model
    that has to be stepped draws from streams of its own. Raises DivergenceError for a prediction that is not
    finite. A model with one member is asked once: nobody is there to disagree.
    """
    streams = Streams(seeds, "penalty.discrepancy", data.obs.device)
    found: list[Tensor] = []
    for start in range(0, len(data), chunk):
        rows = data[start : start + chunk].map(lambda x: x.expand(len(seeds), *x.shape))
        prediction = _predict(dynamics, rows, streams)
        found.append(max_discrepancy(prediction, **counted))
        if not bool(found[-1].isfinite().all()):
            raise DivergenceError("the model's predictions on the dataset are not all finite: fit it again")
        if prediction.mean.shape[-3] == 1:
            return torch.zeros(len(seeds), len(data), dtype=found[-1].dtype, device=data.obs.device)
    return torch.cat(found, dim=-1)


def _predict(dynamics: Dynamics, rows: Transitions, streams: Streams) -> Prediction | None:
    if isinstance(dynamics, Predicting):
        return dynamics.predict(rows.obs, rows.action)
    carry = dynamics.begin(rows.obs, rows.sim_state)
    return dynamics.step(carry, rows.obs, rows.action, streams, members=True).prediction
