"""Sources of synthetic experience: anything with draw(policy, n, streams)."""

from torch import Tensor

from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.core.types import Dynamics, Penalty, Policy, Transitions
from mbrl.run.rollout import no_penalty, rollout


class ModelRollouts:
    """Truncated rollouts in a model from states of the dataset (MBPO offline; Yu et al. 2020).

    data: flat rows [B, ...] on the device the policy computes on; their obs (and sim_state) are the starts.
    Raises ConfigError for a horizon below 1.
    """

    def __init__(
        self, dynamics: Dynamics, data: Transitions, *, horizon: int = 5, penalty: Penalty = no_penalty
    ) -> None:
        if horizon < 1:
            raise ConfigError(f"horizon={horizon}: a rollout has at least 1 step")
        self.dynamics, self.data, self.horizon, self.penalty = dynamics, data, horizon, penalty

    def draw(self, policy: Policy, n: int, streams: Streams) -> tuple[Transitions, Tensor]:
        """n rollouts a seed: rows [S, n * horizon, ...] and which of them are alive [S, n * horizon]."""
        starts = self.data[streams.randint(len(self.data), n)]
        return rollout(self.dynamics, policy, starts, self.horizon, streams, self.penalty)
