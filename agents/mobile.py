"""MOBILE: targets lowered where a model's members lead to different values (Sun et al. 2023).

"Model-Bellman inconsistency for model-based offline reinforcement learning", PMLR 202 (sun23q); official code
github.com/yihaosun1124/mobile. The penalty sits in the target of synthetic rows, not in their reward, so it
follows the critics as they change.
"""

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from mbrl.agents.sac import SAC, Info
from mbrl.core.errors import ConfigError, MismatchError
from mbrl.core.per_member import PerMember, listed, per_member
from mbrl.core.seeds import Streams
from mbrl.core.types import Counted, Dynamics, Prediction, Transitions


@runtime_checkable
class Predictor(Protocol):
    """A model that can be asked what its members expect without being stepped."""

    def predict(self, obs: Tensor, action: Tensor) -> Prediction:
        """Mean and std [S, E, B, O + 1] of (next_obs, reward) at obs [S, B, O], action [S, B, A]."""


def inconsistency(values: Tensor) -> Tensor:
    """u = Std_i[ mean_m V(s'_im) ], shape [..., B], for values [..., K, M, B] of K members' M samples each.

    MOBILE (Sun et al. 2023, the Bellman inconsistency of the members). The deviation is the unbiased one, over
    K - 1, as in the official code, which is not defined for one member: that agrees with itself, and u is 0.
    """
    mean = values.mean(dim=-2)
    return mean.std(dim=-2, correction=min(1, mean.shape[-2] - 1))


class MOBILE(SAC):
    """SAC with y = (r - beta u) + gamma (1 - terminal) V(s') on synthetic rows, and y unchanged on real rows."""

    def __init__(
        self,
        obs_dim: int,
        action_dim: int,
        *,
        model: Predictor | Dynamics | None = None,
        beta: PerMember = 1.0,
        samples: int = 10,
        clamp_target: bool = False,
        **sac: Any,
    ) -> None:
        """model: whose members are compared, needed to update but not to act; beta weighs u, one or one a seed;
        samples: M, next states drawn from each elite; clamp_target: targets below 0 count as 0, as in the official
        code, which is wrong wherever returns may be negative; sac: arguments of SAC. Raises ConfigError for
        impossible values.
        """
        members = len(sac.get("seeds", (0,)))
        if min(listed("beta", beta, members)) < 0 or samples < 1:
            raise ConfigError(f"beta={beta}, samples={samples}: must be at least 0 and 1")
        if not isinstance(model, Predictor | Dynamics | None):
            raise ConfigError(f"model: {type(model).__name__} has neither predict nor begin and step")
        super().__init__(obs_dim, action_dim, **sac)
        self.model, self.samples, self.clamp_target = model, samples, clamp_target
        self.beta = per_member("beta", beta, members, self.device)
        self._predicts = isinstance(model, Predictor)
        self._single = isinstance(model, Counted) and model.members == 1
        self._mean_uncertainty = torch.zeros_like(self.log_alpha)

    def update(self, batch: Transitions, streams: Streams) -> Info:
        """As SAC. Raises ConfigError, before anything changes, if the agent was made without a model."""
        if self.model is None:
            raise ConfigError(
                "MOBILE compares the members of a model when it learns: construct it with model=..."
            )
        return super().update(batch, streams)

    def target(self, batch: Transitions, streams: Streams) -> Tensor:
        """The critics' target [S, B]: SAC's, its edge treatment included, less beta u on synthetic rows.

        u is drawn after SAC's own noise, so that beta = 0 is SAC's update bit for bit.
        """
        target, synthetic = super().target(batch, streams), batch.step > 0
        # On all rows, real ones too: fixed shapes, and no wait for the device to count them.
        penalty = torch.where(synthetic, self.uncertainty(batch, streams), 0.0)
        self._mean_uncertainty = penalty.sum(-1) / synthetic.sum(-1).clamp_min(1)
        beta = self.beta.unsqueeze(-1) if isinstance(self.beta, Tensor) else self.beta
        target = target - beta * penalty
        return target.clamp_min(0.0) if self.clamp_target else target

    def critic_loss(self, batch: Transitions, target: Tensor, streams: Streams) -> tuple[Tensor, Info]:
        """As SAC; the metrics also say what u came to, mean over the synthetic rows of the latest target."""
        loss, info = super().critic_loss(batch, target, streams)
        return loss, info | {"critic/uncertainty": self._mean_uncertainty}

    @torch.no_grad()
    def uncertainty(self, batch: Transitions, streams: Streams) -> Tensor:
        """u [S, B] at (obs, action) of every row, real or synthetic: `inconsistency` of the smallest target critic.

        Each elite draws its own next states. The noise of the policy's action there is shared by the elites
        (the official code draws it anew for each): every elite's mean is as unbiased as before, and elites that
        say the same, a perfect model's, have exactly u = 0. Raises MismatchError for a model without members.
        """
        if self._single:  # true dynamics, for one, whose steps are dear: nothing to compare
            return torch.zeros_like(batch.reward)
        mean, std = self._elites(batch, streams)
        seeds, members, rows, _ = mean.shape
        if members == 1:  # one elite, perhaps of several members
            return torch.zeros_like(batch.reward)
        noise = streams.randn(members, self.samples, rows, self.obs_dim)
        next_obs = mean.unsqueeze(2) + std.unsqueeze(2) * noise
        action_noise = streams.randn(1, self.samples, rows, self.action_dim).expand(-1, members, -1, -1, -1)
        flat = next_obs.flatten(1, 3)
        action, _ = self.actor.sample(flat, action_noise.flatten(1, 3))
        values = self.targets(flat, action).amin(dim=-2).view(seeds, members, self.samples, rows)
        # A matrix product may round a row by its place among others, which is no disagreement of members.
        same = (next_obs == next_obs[:, :1]).all(dim=-1).all(dim=2).all(dim=1)
        return torch.where(same, 0.0, inconsistency(values))

    def _elites(self, batch: Transitions, streams: Streams) -> tuple[Tensor, Tensor]:
        """Mean and std [S, K, B, O] of next_obs by the model's elites."""
        if self._predicts:
            prediction = self.model.predict(batch.obs, batch.action)
        else:
            carry = self.model.begin(batch.obs, batch.sim_state)
            prediction = self.model.step(carry, batch.obs, batch.action, streams, members=True).prediction
        if prediction is None:
            raise MismatchError(f"{type(self.model).__name__} gives no prediction of its members to compare")
        index = prediction.elites[..., None, None]
        mean, std = (
            x.gather(1, index.expand(-1, -1, *x.shape[2:]))[..., :-1].to(batch.obs.dtype)
            for x in prediction[:2]
        )
        return mean, std
