"""Worlds, policies and agents whose values are known in closed form."""

from dataclasses import replace

import torch
from torch import Tensor

from mbrl.core.types import DynamicsStep, Prediction, Transitions
from mbrl.diagnose.depths import Depths, draw_starts, roll
from tests.fakes import random_transitions

SEEDS = (0, 1)
GAMMA = 0.9


def at(states: Tensor) -> Transitions:
    """Flat data whose obs are states [n, O]."""
    data = random_transitions(len(states), obs_dim=states.shape[-1], action_dim=1)
    return replace(data, obs=states, next_obs=states, terminal=torch.zeros(len(states), dtype=torch.bool))


def rolled(dynamics, policy, data: Transitions, horizon: int, n: int, seeds=SEEDS) -> Depths:
    """n rollouts a seed from rows of the data."""
    return roll(dynamics, policy, data, draw_starts(torch.arange(len(data)), n, seeds), horizon, seeds)


class Chain:
    """s' = s + a + shift, reward `pay`, on the line; ends where s' >= end. Its observation is its state."""

    obs_dim = action_dim = 1

    def __init__(self, *, shift: float = 0.0, pay: float = 1.0, end: float = float("inf")) -> None:
        self.shift, self.pay, self.end = shift, pay, end
        self.steps = 0

    def begin(self, obs, sim_state=None):
        return None

    def step(self, carry, obs, action, streams, *, members=False):
        self.steps += 1
        next_obs = obs + action + self.shift
        reward = torch.full(obs.shape[:-1], self.pay)
        mean = torch.cat([next_obs, reward.unsqueeze(-1)], dim=-1).unsqueeze(1)
        elites = torch.zeros(len(obs), 1, dtype=torch.int64)
        prediction = Prediction(mean, torch.zeros_like(mean), elites) if members else None
        return DynamicsStep(None, next_obs, reward, next_obs[..., 0] >= self.end, prediction)


class Clipped(Chain):
    """A chain whose observations of 10 and more do not show the state."""

    def begin(self, obs, sim_state=None):
        if sim_state is None and not bool(self.reconstructable(obs).all()):
            raise AssertionError("asked to start from an observation that is not a state")

    def reconstructable(self, obs):
        return obs[..., 0] < 10


class LinearGaussian:
    """s' = s + a + noise * N(0, 1), reward -s'^2, on the line."""

    obs_dim = action_dim = 1

    def __init__(self, noise: float = 0.3) -> None:
        self.noise = noise

    def begin(self, obs, sim_state=None):
        return None

    def step(self, carry, obs, action, streams, *, members=False):
        next_obs = obs + action + self.noise * streams.randn(*obs.shape[1:])
        terminal = torch.zeros(obs.shape[:-1], dtype=torch.bool)
        return DynamicsStep(None, next_obs, -next_obs[..., 0].square(), terminal, None)


class Right:
    """One step to the right, deterministic."""

    gamma = GAMMA

    def act(self, obs, streams=None):
        return torch.ones(*obs.shape[:-1], 1)


class Promises(Right):
    """Walks right; its critics say value(s) plus offsets, whatever the action. Seed 1 says twice the offsets."""

    def __init__(self, value=lambda s: 0.0 * s, offsets=(0.0,)) -> None:
        self.value, self.offsets = value, torch.tensor(offsets, dtype=torch.float64)

    def q_values(self, obs, action):
        scale = torch.arange(1.0, len(obs) + 1).view(-1, 1, 1)
        return self.value(obs[..., 0]).unsqueeze(1) + scale * self.offsets.view(-1, 1)

    def values(self, obs):
        return self.q_values(obs, self.act(obs))


class Soft(Promises):
    """The same with an entropy bonus of `bonus` for every action."""

    bonus = 0.5

    def act_soft(self, obs, streams):
        return self.act(obs), torch.full(obs.shape[:-1], self.bonus)


class Steering:
    """a = -gain * s; the exact Q of LinearGaussian under it, plus `offset`."""

    gamma = GAMMA

    def __init__(self, gain: float = 0.5, noise: float = 0.3, offset: float = 0.0) -> None:
        self.gain, self.noise, self.offset = gain, noise, offset

    def act(self, obs, streams=None):
        return -self.gain * obs

    def value(self, state):
        """V(s) = -(rho^2 s^2 + c) with rho = 1 - gain: fixed point of V(s) = E[-s'^2 + gamma V(s')]."""
        rho2 = (1 - self.gain) ** 2
        # V = -(p s^2 + q): p = rho2 (1 + gamma p), q = noise^2 (1 + gamma p) + gamma q.
        p = rho2 / (1 - self.gamma * rho2)
        q = self.noise**2 * (1 + self.gamma * p) / (1 - self.gamma)
        return -(p * state**2 + q)

    def q_values(self, obs, action):
        return (self.value(obs[..., 0]) + self.offset).unsqueeze(1)

    def values(self, obs):
        return self.q_values(obs, self.act(obs))
