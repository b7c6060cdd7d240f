"""The simple environment: s in R^2, s' = s + a, a in [-1, 1]^2, after Sims et al. 2024 (sec. 5); constants ours.

Episodes start uniformly on [-2, 2]^2, so every question about reach has an exact answer. The reward of a step
is the map's at the state it leads to, r(s, a) = r(s + a): a rollout of k steps has then seen the rewards of all
states within its reach, edge included, and what it has not seen is what comes after them.
"""

from typing import Any

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.seeds import Streams
from mbrl.core.types import DynamicsStep, Prediction
from mbrl.dynamics.reward_maps import REWARD_MAPS, RewardMap

START = 2.0
"""Half the side of the square of start states."""


def depth(state: Tensor) -> Tensor:
    """The smallest t at which some policy reaches state [..., 2] from [-2, 2]^2: max(0, ceil(|s|_inf - 2)), int64.

    Reach after exactly t steps is the square |s|_inf <= 2 + t, since standing still is an action.
    """
    return (state.abs().amax(-1) - START).ceil().clamp_min(0).long()


def edge_of_reach(state: Tensor, horizon: int) -> Tensor:
    """[...] bool: states that step k = horizon can reach and no earlier step can (Sims et al. 2024, def. 1)."""
    return depth(state) == horizon


class SimpleWorld:
    """The world under one reward map; deterministic, without terminals, shared by any number of seeds."""

    obs_dim = 2
    action_dim = 2

    def __init__(
        self, reward: str | RewardMap, *, unit: float = 1.0, device: torch.device | str = "cpu"
    ) -> None:
        """reward: a name in REWARD_MAPS, or states [..., 2] -> rewards [...]. Raises ConfigError for another.

        unit: observations are states divided by it. Maps, starts and reach stay in the plane's own lengths.
        """
        if isinstance(reward, str):
            if reward not in REWARD_MAPS:
                raise ConfigError(unknown_name("reward map", reward, REWARD_MAPS))
            reward = REWARD_MAPS[reward]
        self.reward, self.unit, self.device = reward, unit, torch.device(device)

    def begin(self, obs: Tensor, sim_state: Tensor | None = None) -> None:
        """Nothing to carry: the observation is the state, in its unit."""

    def step(
        self, carry: Any, obs: Tensor, action: Tensor, streams: Streams, *, members: bool = False
    ) -> DynamicsStep:
        """State [S, B, 2] + action [S, B, 2], clipped to [-1, 1]; the one "member" is the truth, with std 0."""
        state = obs * self.unit + action.clamp(-1.0, 1.0)
        next_obs, reward = state / self.unit, self.reward(state)
        terminal = torch.zeros_like(reward, dtype=torch.bool)
        prediction = None
        if members:
            mean = torch.cat([next_obs, reward.unsqueeze(-1)], dim=-1).unsqueeze(-3)
            elites = torch.zeros(len(obs), 1, dtype=torch.int64, device=obs.device)
            prediction = Prediction(mean, torch.zeros_like(mean), elites)
        return DynamicsStep(None, next_obs, reward, terminal, prediction)


def start_states(rows: int, streams: Streams) -> Tensor:
    """[S, rows, 2] uniform on [-2, 2]^2."""
    return START * (2 * streams.rand(rows, 2) - 1)


def start_lattice(per_side: int = 8, device: torch.device | str = "cpu") -> Tensor:
    """[per_side^2, 2]: the centres of equal cells of [-2, 2]^2, an evaluation without sampling noise."""
    centres = START * ((2 * torch.arange(per_side, device=device) + 1) / per_side - 1)
    return torch.cartesian_prod(centres, centres)
