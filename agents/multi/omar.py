"""OMAR: actors led by gradients and by a search, on conservative critics (Pan et al. 2022, arXiv 2111.11188)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mbrl.agents.multi import losses
from mbrl.agents.multi.cql import Conservatism
from mbrl.agents.multi.matd3 import MATD3
from mbrl.agents.multi.metrics import Info
from mbrl.agents.multi.per_seed import at_least, per_seed
from mbrl.agents.multi.rectification import Move, by_elites, by_softmax, search
from mbrl.agents.multi.views import own_values, pick
from mbrl.core.errors import ConfigError
from mbrl.core.joint import Layout
from mbrl.core.per_member import PerMember
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions

SAMPLERS: dict[str, Callable[[int, float], tuple[Move, int]]] = {
    "elites": lambda elites, beta: (by_elites(elites), elites),
    "softmax": lambda elites, beta: (by_softmax(beta), 0),
}
"""`sampler`: how draws move the next ones, and how many are kept beside those."""


class OMAR(MATD3):
    """MATD3 with CQL's critics, whose actors minimise c |pi_i - a^_i|^2 - (1 - c) Q_i1, a^_i the search's best.

    The authors' code also adds 1e-3 |pi_i|^2 and cuts gradients at norm 0.5; neither is done here.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        coefficient: PerMember = 0.7,
        sampler: str = "elites",
        iterations: int = 2,
        samples: int = 20,
        elites: int = 5,
        beta: float = 1.0,
        initial_std: float = 2.0,
        cql_weight: PerMember = 1.0,
        temperature: float = 1.0,
        repeats: int = 10,
        cql_width: float = 0.2,
        critic: str = "independent",
        policy_noise: float = 0.0,
        policy_delay: int = 1,
        **matd3: Any,
    ) -> None:
        """coefficient: c in [0, 1], one or one a seed; sampler: a name in SAMPLERS, the authors' code for MuJoCo
        (elites) or for particles (softmax, with beta); initial_std: of the first draws; cql_*: of
        `Conservatism`; the others: of MATD3, critics being independent in the paper. Raises ConfigError for
        impossible values.
        """
        super().__init__(layout, critic=critic, policy_noise=policy_noise, policy_delay=policy_delay, **matd3)
        members = len(matd3.get("seeds", (0,)))
        at_least(0, members, coefficient=coefficient)
        self.coefficient = per_seed("coefficient", coefficient, members, self.device)
        if torch.as_tensor(self.coefficient).max() > 1:
            raise ConfigError(f"coefficient={coefficient}: weighs two terms and is at most 1")
        if min(iterations, elites) < 1 or samples < elites or initial_std <= 0:
            raise ConfigError(
                f"iterations={iterations}, elites={elites}, samples={samples}, initial_std={initial_std}: at least "
                "1, 1, as many as elites, and more than 0"
            )
        self.move, self.keep = pick("sampler", sampler, SAMPLERS)(elites, beta)
        self.iterations, self.samples, self.initial_std = iterations, samples, initial_std
        self.conservatism = Conservatism(cql_weight, temperature, repeats, cql_width, self, members)

    def critic_loss(self, batch: Transitions, target: Tensor, streams: Streams) -> tuple[Tensor, Info]:
        """Loss [S, N]: regression plus w times the gap."""
        return self.conservatism.critic_loss(self, batch, target, streams)

    def actor_loss(self, batch: Transitions, action: Tensor, streams: Streams) -> tuple[Tensor, Info]:
        """Loss [S, N], and how far the policies are from the best actions found."""
        value = self.own_value(batch, action)
        best = self.better(batch, action.detach(), value.detach(), streams)
        gap = losses.masked_square(action, best, self.actors.action_mask)
        loss = losses.omar(value, gap, self.coefficient)
        with torch.no_grad():
            return loss, {"actor/loss": loss.mean(dim=-1), "actor/rectification": gap.mean(dim=-1)}

    def better(self, batch: Transitions, action: Tensor, value: Tensor, streams: Streams) -> Tensor:
        """The best own action [S, B, N, A] found by the first critic, or `action` itself, of value [S, N, B]."""
        others = self.others(action, batch.action)
        return search(
            lambda own: own_values(self.critics.first, batch.obs, own, others),
            action,
            value,
            streams,
            self.move,
            iterations=self.iterations,
            samples=self.samples,
            keep=self.keep,
            std=self.initial_std,
        )
