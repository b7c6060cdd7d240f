"""Datasets and a policy with a closed form."""

import torch
from torch import Tensor

from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions
from mbrl.datasets.dataset import OfflineDataset, Stats

PAIR = Layout((1, 1), (1, 1))


def dataset(
    rows: Transitions, episode: Tensor, *, layout: Layout | None = None, known: Tensor | None = None
) -> OfflineDataset:
    known = torch.ones(len(rows), dtype=torch.bool) if known is None else known
    stats = Stats(len(rows), 1, 0.0, 0.0, 0.0, 1.0, 0, 0)
    return OfflineDataset("test/rows", rows, episode, known, None, "00", stats, layout=layout)


def walks(lengths: tuple[int, ...], layout: Layout | None = None, seed: int = 0) -> OfflineDataset:
    """Episodes of these lengths whose obs tell episode and time: obs = 100 e + t in each agent's first entry."""
    g = torch.Generator().manual_seed(seed)
    own = (3,) if layout is None else (layout.agents, layout.obs_dim)
    acts = (2,) if layout is None else (layout.agents, layout.action_dim)
    episode = torch.cat([torch.full((n,), e) for e, n in enumerate(lengths)])
    time = torch.cat([torch.arange(n) for n in lengths])
    total = len(time)

    def obs_at(t: Tensor) -> Tensor:
        now = (100.0 * episode + t).view(-1, *[1] * len(own))
        out = now + 0.1 * torch.arange(own[-1])
        return out if layout is None else out.expand(total, *own) * layout.obs_mask()

    action = 2 * torch.rand(total, *acts, generator=g) - 1
    rows = Transitions(
        obs=obs_at(time).float(),
        action=action if layout is None else action * layout.action_mask(),
        reward=torch.randn(total, generator=g),
        next_obs=obs_at(time + 1).float(),
        terminal=torch.zeros(total, dtype=torch.bool),
        timeout=torch.zeros(total, dtype=torch.bool),
        step=torch.zeros(total, dtype=torch.int64),
    )
    return dataset(rows, episode, layout=layout)


def games(action: Tensor, reward: Tensor, layout: Layout | None = None) -> OfflineDataset:
    """One-step episodes with a constant observation; action [R, N, A], or [R, A] without a layout."""
    obs = torch.zeros(len(action), *([1] if layout is None else [layout.agents, 1]))
    end = torch.ones(len(action), dtype=torch.bool)
    rows = Transitions(obs, action, reward, obs, end, ~end, torch.zeros(len(action), dtype=torch.int64))
    return dataset(rows, torch.arange(len(action)), layout=layout)


class Still:
    """A deterministic policy; `act` alone."""

    deterministic = True

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        mean = self.mean.unsqueeze(1)
        return mean.expand(len(mean), obs.shape[1], *mean.shape[2:])
