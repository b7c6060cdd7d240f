"""MADDPG with CQL's regulariser on every critic."""

from typing import Any

from torch import Tensor

from mbrl.agents.multi.cql import Conservatism
from mbrl.agents.multi.matd3 import MATD3
from mbrl.agents.multi.metrics import Info
from mbrl.core.joint import Layout
from mbrl.core.per_member import PerMember
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions


class MADDPGCQL(MATD3):
    """MADDPG (Lowe et al. 2017) with twin critics, whose values are pushed down at actions that the data lacks.

    Without target noise and delays, as in the codes of Pan et al. 2022 and of OG-MARL (Formanek et al. 2023).
    """

    def __init__(
        self,
        layout: Layout,
        *,
        cql_weight: PerMember = 1.0,
        temperature: float = 1.0,
        repeats: int = 10,
        cql_width: float = 0.2,
        policy_noise: float = 0.0,
        policy_delay: int = 1,
        **matd3: Any,
    ) -> None:
        """cql_weight, temperature, repeats, cql_width: of `Conservatism`; the others: of MATD3."""
        super().__init__(layout, policy_noise=policy_noise, policy_delay=policy_delay, **matd3)
        members = len(matd3.get("seeds", (0,)))
        self.conservatism = Conservatism(cql_weight, temperature, repeats, cql_width, self, members)

    def critic_loss(self, batch: Transitions, target: Tensor, streams: Streams) -> tuple[Tensor, Info]:
        """Loss [S, N]: regression plus w times the gap."""
        return self.conservatism.critic_loss(self, batch, target, streams)
