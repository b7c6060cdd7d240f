"""Datasets, exact denoisers and policies with a closed form."""

import torch
from torch import Tensor

from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions
from mbrl.datasets.dataset import OfflineDataset, Stats
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.shape import SegmentShape

UNIT = 1e-4
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


def exact(layout: Layout, mean: Tensor, cov: Tensor, *, joint: bool = True) -> DiffusionModel:
    """The exact denoiser, in double, of one-step segments whose actions are N(mean, cov), all else constant.

    D = m + C (C + sigma^2)^-1 (x - m) in the model's units; UNIT of the data is one of them: no sample comes near
    the bounds of actions.
    """
    model = DiffusionModel(SegmentShape(1, layout, joint=joint), width=4, depth=1).double()
    columns = model.shape.action_columns
    model.std[columns] = UNIT

    def denoise(x: Tensor, sigma: float) -> Tensor:
        action = x[..., 0, columns]
        gain = cov @ torch.linalg.inv(cov + sigma**2 * torch.eye(len(cov), dtype=cov.dtype))
        out = torch.zeros_like(x)
        out[..., 0, columns] = mean + (action - mean) @ gain.T
        return out * model.mask

    model.denoise = denoise
    return model


class Normal:
    """The policy N(mean [S, N, A], std^2) at every observation, and a count of how often it is asked."""

    def __init__(self, mean: Tensor, std: float) -> None:
        self.mean, self.std, self.calls = mean, std, 0

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        self.calls += 1
        mean = self.mean.unsqueeze(1)
        return mean.expand(len(mean), obs.shape[1], *mean.shape[2:])

    def gaussian(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.act(obs)
        return mean, torch.full_like(mean, self.std)

    def log_prob(self, obs: Tensor, action: Tensor) -> Tensor:
        return -0.5 * ((action - self.act(obs)) / self.std).square().sum(-1)


class Still:
    """A deterministic policy; `act` alone."""

    deterministic = True

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        mean = self.mean.unsqueeze(1)
        return mean.expand(len(mean), obs.shape[1], *mean.shape[2:])
