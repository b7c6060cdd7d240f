"""What a penalty does to the rows of one draw: how much it takes off their rewards, and whom it ends."""

import torch
from torch import Tensor

from mbrl.core.types import Penalty, Prediction


class PenaltyMeter:
    """A penalty that acts as the one it is given and notes the difference, step by step of one rollout."""

    def __init__(self, penalty: Penalty) -> None:
        self.penalty = penalty
        self.taken: list[Tensor] = []
        self.ended: list[Tensor] = []

    def __call__(self, reward: Tensor, terminal: Tensor, prediction: Prediction) -> tuple[Tensor, Tensor]:
        """reward and terminal [S, B] of one step, penalised."""
        after, over = self.penalty(reward, terminal, prediction)
        self.taken.append(reward - after)
        self.ended.append(over & ~terminal)
        return after, over

    def metrics(self, alive: Tensor) -> dict[str, Tensor]:
        """Over the rows that are alive [S, B * k]: mean and largest loss of reward, share that was ended; [S]."""
        taken, ended = torch.cat(self.taken, dim=-1), torch.cat(self.ended, dim=-1)
        count = alive.sum(-1)
        return {
            "source/penalty_mean": torch.where(alive, taken, 0.0).sum(-1) / count,
            "source/penalty_max": taken.masked_fill(~alive, -torch.inf).amax(-1),
            "source/penalty_ended": (alive & ended).sum(-1) / count,
        }
