"""What an agent's critic sees, and whose actions stand beside the agent's own: two switches, as plain functions."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, unknown_name

Choice = TypeVar("Choice")
View = Callable[[Tensor, Tensor], Tensor]
"""(obs [S, B, N, O], action [S, M, B, N, A]) -> what critics read, with one row an agent or one for all."""
Others = Callable[[Tensor, Tensor], Tensor]
"""(current policies' joint action, the batch's), both [S, B, N, A] -> the others' actions [S, B, N, A]."""
Share = Callable[[Tensor], Tensor]
"""An entropy term [S, N, B] an agent -> what of it each agent's value counts, [S, N, B] or [S, 1, B]."""


def central(obs: Tensor, action: Tensor) -> Tensor:
    """All agents' observations and actions, [S, M, B, N O + N A] (Lowe et al. 2017, MADDPG)."""
    obs = obs.flatten(-2).unsqueeze(1)
    return torch.cat([obs.expand(-1, action.shape[1], -1, -1), action.flatten(-2)], dim=-1)


def independent(obs: Tensor, action: Tensor) -> Tensor:
    """Each agent's own observation and action, [S, N, B, O + A]."""
    own = action.expand(-1, action.shape[-2], -1, -1, -1).diagonal(dim1=1, dim2=3)
    return torch.cat([obs.transpose(1, 2), own.permute(0, 3, 1, 2)], dim=-1)


VIEWS: dict[str, View] = {"central": central, "independent": independent}
"""`critic`: what an agent's critics see."""

ENTROPY: dict[str, Share] = {
    "central": lambda term: term.sum(dim=1, keepdim=True),
    "independent": lambda term: term,
}
"""By `critic`: whose entropy a soft value counts. A critic of the joint action values the joint policy."""

OTHERS: dict[str, Others] = {
    "data": lambda policies, data: data,
    "policies": lambda policies, data: policies.detach(),
}
"""`others`: best response under data (Tilbury et al. 2024, arXiv 2407.01343), or to the current policies."""


def pick(kind: str, name: str, known: Mapping[str, Choice]) -> Choice:
    """known[name]. Raises ConfigError for another name."""
    if name not in known:
        raise ConfigError(unknown_name(kind, name, known))
    return known[name]


def among(own: Tensor, others: Tensor) -> Tensor:
    """Joint actions [S, N, B, N, A]: in the i-th, agent i acts as in `own`, all else as in `others` [S, B, N, A].

    So a sum of critics' values over i has, with respect to own_i, the gradient of agent i's critic alone.
    """
    agents = own.shape[-2]
    mine = torch.eye(agents, dtype=torch.bool, device=own.device).view(agents, 1, agents, 1)
    return torch.where(mine, own.unsqueeze(1), others.unsqueeze(1))


def own_values(value: Callable[[Tensor, Tensor], Tensor], obs: Tensor, own: Tensor, others: Tensor) -> Tensor:
    """What `value(obs, joint action)` [S, N, .., B] says of R own actions an agent, [S, N, .., R, B].

    own [S, R, B, N, A]: the r-th action of every agent, each tried by itself among the others' [S, B, N, A].
    """
    tried = own.shape[1:3]
    obs, others = (x.unsqueeze(1).expand(-1, tried[0], -1, -1, -1).flatten(1, 2) for x in (obs, others))
    return value(obs, among(own.flatten(1, 2), others)).unflatten(-1, tried)
