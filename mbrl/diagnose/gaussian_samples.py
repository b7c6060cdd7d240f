"""Gaussian data with its exact denoiser, and Gaussian policies: what CODA makes of them, free of sampling error."""

import torch
from torch import Tensor

from mbrl.core.joint import Layout
from mbrl.core.seeds import Streams
from mbrl.diagnose.gaussian_guidance import LINES, Gaussians, flow, product
from mbrl.dynamics.diffusion.model import DiffusionModel
from mbrl.dynamics.diffusion.shape import SegmentShape
from mbrl.dynamics.diffusion.source import Coda

UNIT = 1e-4
"""The deviation of an action in its own scale: no sample comes near the bounds, whose clipping is not Gaussian."""


class GaussianModel(DiffusionModel):
    """The exact denoiser, in double, of segments of one step whose actions are N(mean [k], cov [k, k]), in the
    model's units, and whose other entries are constant: D = m + C (C + sigma^2)^-1 (x - m)."""

    def __init__(self, layout: Layout, mean: Tensor, cov: Tensor, *, joint: bool = True) -> None:
        super().__init__(SegmentShape(1, layout, joint=joint), width=1, depth=1)
        self.double()
        self.data_mean, self.data_cov = mean.double(), cov.double()
        self.std[self.shape.action_columns] = UNIT

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """D(x; sigma) for one sigma."""
        columns, cov = self.shape.action_columns, self.data_cov
        gain = cov @ torch.linalg.inv(cov + sigma**2 * torch.eye(len(cov), dtype=cov.dtype))
        moved = self.data_mean + (x[..., 0, columns] - self.data_mean) @ gain.T
        out = torch.zeros_like(x)
        out[..., 0, columns] = moved
        return out


class GaussianPolicy:
    """N(mean [S, N, A], std^2) at every observation: a core.types.Guide. calls: how often it was asked."""

    def __init__(self, mean: Tensor, std: float) -> None:
        self.mean, self.std, self.calls = mean, std, 0

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """The mean, for each row."""
        self.calls += 1
        mean = self.mean.unsqueeze(1)
        return mean.expand(len(mean), obs.shape[1], *mean.shape[2:])

    def gaussian(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and std."""
        mean = self.act(obs)
        return mean, torch.full_like(mean, self.std)

    def log_prob(self, obs: Tensor, action: Tensor) -> Tensor:
        """Log-density, but for its constant."""
        return -0.5 * ((action - self.act(obs)) / self.std).square().sum(-1)


def sampled(case: Gaussians, guide: str, **sampler: float) -> tuple[float, float]:
    """Mean and std of one agent's sampled action under a guide, to compare with `flow` and `product`."""
    model = GaussianModel(Layout((1,), (1,)), torch.tensor([case.mean]), torch.tensor([[case.std**2]]))
    coda = Coda(model, weight=case.weight, guide=guide, **{"churn": 0.0, **sampler})
    mean, cov, _ = affine(coda, led(case))
    return float(mean), float(cov) ** 0.5


def led(case: Gaussians) -> GaussianPolicy:
    """The policy of a case, in actions."""
    mean = torch.full((1, 1, 1), UNIT * case.policy_mean, dtype=torch.float64)
    return GaussianPolicy(mean, UNIT * case.policy_std)


def affine(coda: Coda, policy: GaussianPolicy, n: int = 8) -> tuple[Tensor, Tensor, float]:
    """Mean [k] and covariance [k, k] of what `coda` makes of the noise N(0, sigma_max^2).

    Where all is Gaussian its map from noise to actions is affine, and n > k samples tell it. Last, by how much they
    miss such a map at most, relative to the largest of them.
    """
    noise = Streams((0,), "gaussian").randn(n, *coda.model.mask.shape, dtype=torch.float64)[0]
    x = coda.segments(policy, n, Streams((0,), "gaussian"))[0]
    columns, top = coda.model.shape.action_columns, coda.sampler.sigma_max
    inputs = torch.cat([top * noise[:, 0, columns], torch.ones(n, 1, dtype=torch.float64)], dim=-1)
    outputs = x[:, 0, columns]
    found = torch.linalg.lstsq(inputs, outputs).solution
    miss = (inputs @ found - outputs).abs().max() / outputs.abs().max()
    return found[-1], top**2 * found[:-1].T @ found[:-1], float(miss)


def bias_table(
    weights: tuple[float, ...] = (0.1, 0.5, 1.0, 3.0), *, steps: int = 200
) -> list[dict[str, float | str]]:
    """A row a guide and lambda: product, the guide's own flow, and the sampler's moments of it.

    Data N(0, 1) and N(0, 0.4^2), which a guide takes for N(0, 1) all the same, policy N(1, 0.5^2).
    """
    rows = []
    for std in (1.0, 0.4):
        for weight in weights:
            case = Gaussians(std=std, weight=weight)
            for guide, line in LINES.items():
                row = {"guide": guide, "data_std": std, "weight": weight}
                for source, found in {
                    "product": product(case),
                    "flow": flow(case, line),
                    "sampler": sampled(case, guide, steps=steps),
                }.items():
                    row |= {f"{source}_mean": found[0], f"{source}_std": found[1]}
                rows.append(row)
    return rows


def steps_table(
    steps: tuple[int, ...] = (8, 12, 16, 24, 32, 64), *, weight: float = 1.0
) -> list[dict[str, float | int]]:
    """How far the sampler's moments are from the exact ones by steps and order, unguided and by `posterior`."""
    rows = []
    for order in (1, 2):
        for count in steps:
            row: dict[str, float | int] = {"order": order, "steps": count}
            for name, lam in (("unguided", 0.0), ("posterior", weight)):
                case = Gaussians(mean=0.5, weight=lam)
                mean, std = product(case) if lam else (case.mean, case.std)
                got = sampled(case, "posterior", steps=count, order=order)
                row |= {f"{name}_mean_error": got[0] - mean, f"{name}_std_ratio": got[1] / std}
            rows.append(row)
    return rows
