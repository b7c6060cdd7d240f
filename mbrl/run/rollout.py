"""Truncated rollouts of a policy in a model: fixed shapes, an alive mask, the rollout step on every row."""

import torch
from torch import Tensor

from mbrl.core.errors import MismatchError
from mbrl.core.maths import all_finite
from mbrl.core.seeds import Streams
from mbrl.core.types import Dynamics, Penalty, Policy, Prediction, Tracing, Transitions, concatenate


def no_penalty(reward: Tensor, terminal: Tensor, prediction: Prediction | None) -> tuple[Tensor, Tensor]:
    """The base procedure: reward and terminal as the model has them."""
    return reward, terminal


@torch.no_grad()
def rollout(
    dynamics: Dynamics,
    policy: Policy,
    starts: Transitions,
    horizon: int,
    streams: Streams,
    penalty: Penalty = no_penalty,
    *,
    keep_state: bool = False,
) -> tuple[Transitions, Tensor]:
    """k = horizon steps of the policy in the model from starts.obs [S, B, O] (MBPO, Janner et al. 2019, alg. 1).

    Returns rows [S, B * k, ...], step by step, with `step` 1..k, and alive [S, B * k] bool. A rollout that
    reached a terminal or a non-finite state goes on in name only: its later rows are void (alive False) and
    carry its start state, so that shapes stay fixed and nothing not finite is computed with. A row whose
    own action or prediction is not finite is void, too. The last step is not a timeout of any kind:
    bootstrapping goes on from its successor, which is what puts edge-of-reach states into the targets.
    keep_state: give rows the simulator's state at their obs; raises MismatchError if the dynamics has none.
    """
    if keep_state and not isinstance(dynamics, Tracing):
        raise MismatchError(
            f"{type(dynamics).__name__} carries no simulator state to keep; true and interpolated dynamics do"
        )
    obs = starts.obs
    alive = torch.ones(obs.shape[:-1], dtype=torch.bool, device=obs.device)
    carry = dynamics.begin(obs, starts.sim_state)
    members = penalty is not no_penalty
    first = dynamics.sim_state(carry) if keep_state else None
    rows, masks = [], []
    for step in range(1, horizon + 1):
        action = policy.act(obs, streams)
        state = torch.where(alive.unsqueeze(-1), dynamics.sim_state(carry), first) if keep_state else None
        carry, next_obs, reward, terminal, prediction = dynamics.step(
            carry, obs, action, streams, members=members
        )
        reward, terminal = penalty(reward, terminal, prediction)
        finite = all_finite(next_obs) & reward.isfinite() & all_finite(action)
        alive = alive & finite
        next_obs = torch.where(finite.unsqueeze(-1), next_obs, starts.obs)
        rows.append(_rows(obs, action, torch.where(finite, reward, 0.0), next_obs, terminal, step, state))
        masks.append(alive)
        alive = alive & ~terminal
        obs = torch.where(alive.unsqueeze(-1), next_obs, starts.obs)
    return concatenate(rows), torch.cat(masks, dim=-1)


def _rows(
    obs: Tensor,
    action: Tensor,
    reward: Tensor,
    next_obs: Tensor,
    terminal: Tensor,
    step: int,
    sim_state: Tensor | None,
) -> Transitions:
    return Transitions(
        obs=obs,
        action=action,
        reward=reward,
        next_obs=next_obs,
        terminal=terminal,
        timeout=torch.zeros_like(terminal),
        step=torch.full(reward.shape, step, dtype=torch.int64, device=reward.device),
        sim_state=sim_state,
    )
