"""Multi-agent TD3+BC: each actor climbs its critic and stays near the data (after Fujimoto and Gu 2021)."""

from typing import Any

import torch
from torch import Tensor

from mbrl.agents.multi import losses
from mbrl.agents.multi.matd3 import MATD3
from mbrl.agents.multi.metrics import Info
from mbrl.agents.multi.per_seed import at_least, per_seed
from mbrl.core.joint import Layout
from mbrl.core.per_member import PerMember
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions


class MATD3BC(MATD3):
    """MATD3 whose actors minimise -lambda Q_i1 + w |pi_i - a_i|^2, lambda = alpha / E|Q_i1|.

    One agent of a single seed is TD3+BC.
    """

    def __init__(
        self, layout: Layout, *, alpha: PerMember = 2.5, bc_weight: PerMember = 1.0, **matd3: Any
    ) -> None:
        """alpha, bc_weight: one, or one a seed, at least 0; bc_weight = 0 is multi-agent TD3 (with Q's scale taken
        out of the loss, which Adam does not see); matd3: arguments of MATD3."""
        super().__init__(layout, **matd3)
        members = len(matd3.get("seeds", (0,)))
        at_least(0, members, alpha=alpha, bc_weight=bc_weight)
        self.alpha = per_seed("alpha", alpha, members, self.device)
        self.bc_weight = per_seed("bc_weight", bc_weight, members, self.device)

    def actor_loss(self, batch: Transitions, action: Tensor, streams: Streams) -> tuple[Tensor, Info]:
        """Loss [S, N], and how far the policies are from the data."""
        cloning = losses.masked_square(action, batch.action, self.actors.action_mask)
        loss = losses.td3_bc(self.own_value(batch, action), cloning, self.alpha, self.bc_weight)
        with torch.no_grad():
            return loss, {"actor/loss": loss.mean(dim=-1), "actor/cloning": cloning.mean(dim=-1)}
