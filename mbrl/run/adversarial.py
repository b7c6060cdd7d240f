"""A source whose model plays against the policy: every so many draws the model is trained, then rolled out."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams
from mbrl.core.types import Perishable, Policy, Reporting, Source, Stateful, Transitions, ValuedPolicy


class Adversary(Stateful, Reporting, Perishable, Protocol):
    """A model that can be trained against a policy, such as mbrl.dynamics.adversarial.AdversarialModel.

    diverged: the members whose model the latest training has lost.
    """

    def train(self, agent: ValuedPolicy, streams: Streams) -> None:
        """Make the model more pessimistic about the agent, in place."""


class AdversarialRollouts:
    """RAMBO's experience (Rigter et al. 2022, algorithm 1): rollouts of a source in a model that is an adversary.

    The model phase comes before draws `every`, 2 `every` and so on. It does not come before the first, as in the
    official code: that one is from the fitted model, and the critics to be fooled have not learned anything yet.
    """

    def __init__(self, rollouts: Source, adversary: Adversary, *, every: int = 1) -> None:
        """rollouts: draws from the adversary's model. Raises ConfigError for fewer than 1 draw between phases."""
        if every < 1:
            raise ConfigError(f"every={every}: a model phase comes every 1 draw or more")
        self.rollouts, self.adversary, self.every = rollouts, adversary, every
        self.horizon = rollouts.horizon
        self.draws = 0
        self.diverged: Mapping[int, str] = {}

    def draw(self, policy: Policy, n: int, streams: Streams) -> tuple[Transitions, Tensor]:
        """As the source it draws from. Raises ConfigError, before any work, for a policy without critics."""
        if not isinstance(policy, ValuedPolicy):
            raise ConfigError(
                f"an adversarial model lowers an agent's values, and {type(policy).__name__} has none: it needs "
                "gamma, values(obs) and q_values(obs, action), as agent=sac has"
            )
        self.diverged = {}
        if self.draws and self.draws % self.every == 0:
            self.adversary.train(policy, streams)
            self.diverged = self.adversary.diverged
        self.draws += 1
        return self.rollouts.draw(policy, n, streams)

    def metrics(self) -> dict[str, Tensor]:
        """The adversary's, and the rollouts' own."""
        own = self.rollouts.metrics() if isinstance(self.rollouts, Reporting) else {}
        return self.adversary.metrics() | own

    def state_dict(self) -> dict[str, Any]:
        """The adversary's, and the draws so far."""
        return {"adversary": self.adversary.state_dict(), "draws": torch.tensor(self.draws)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of state_dict."""
        self.adversary.load_state_dict(state["adversary"])
        self.draws = int(state["draws"])
