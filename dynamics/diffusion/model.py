"""The denoiser of segments: a network inside EDM's preconditioning, and the units it works in."""

from typing import Any

import torch
from torch import Tensor, nn

from mbrl.core.errors import ConfigError, DataError, unknown_name
from mbrl.dynamics.diffusion.actions import ACTION_MAPS
from mbrl.dynamics.diffusion.edm import c_in, c_noise, c_out, c_skip
from mbrl.dynamics.diffusion.networks import make_network
from mbrl.dynamics.diffusion.shape import SegmentShape

STD_FLOOR = 1e-3
"""Smallest divisor of a column: a constant one (the observation of a one-step game) is then 0 in the model, and
what the model makes of it comes back a thousandth as large."""


class DiffusionModel(nn.Module):
    """A diffusion model of segments in standardised units: D(x; sigma) for x [..., T + 1, D].

    Observations, actions (through their map) and rewards are shifted and divided to mean 0 and deviation 1, a
    column at a time over all rows; terminal stays at -1 and +1. One network serves all stacked seeds.
    network, width, depth: as in networks.DENOISERS. sigma_data: the deviation EDM expects of standardised data.
    action_map: as in actions.ACTION_MAPS. seed: of the initial weights, and of the fit.
    Raises ConfigError for an unknown network or action map.
    """

    mean: Tensor
    std: Tensor
    mask: Tensor

    def __init__(
        self,
        shape: SegmentShape,
        *,
        network: str = "mlp",
        width: int = 128,
        depth: int = 3,
        sigma_data: float = 1.0,
        action_map: str = "clip",
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        if action_map not in ACTION_MAPS:
            raise ConfigError(unknown_name("action map", action_map, ACTION_MAPS))
        if sigma_data <= 0:
            raise ConfigError(f"sigma_data={sigma_data} must be above 0")
        self.shape, self.seed, self.sigma_data = shape, seed, sigma_data
        self.actions, self.action_map = ACTION_MAPS[action_map], action_map
        self.sizes = {"network": network, "width": width, "depth": depth}
        self.net = make_network(network, shape, width=width, depth=depth, seed=seed)
        self.register_buffer("mean", torch.zeros(shape.width))
        self.register_buffer("std", torch.ones(shape.width))
        self.register_buffer("mask", shape.mask(), persistent=False)
        self.to(device)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.mean.device

    def config(self) -> dict[str, Any]:
        """Arguments that make the same model again, for JSON."""
        return {
            "shape": self.shape.as_dict(),
            **self.sizes,
            "sigma_data": self.sigma_data,
            "action_map": self.action_map,
            "seed": self.seed,
        }

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """D(x; sigma) (Karras et al. 2022, eq. 7) for x [..., T + 1, D], sigma one or [...]; 0 in padding."""
        if not isinstance(sigma, Tensor):
            sigma = torch.full((), sigma, dtype=x.dtype, device=x.device)
        sigma = sigma.expand(x.shape[:-2])
        level, sd = sigma[..., None, None], self.sigma_data
        scaled = (c_in(level, sd) * x).flatten(0, -3)
        inside = self.net(scaled, c_noise(sigma).reshape(-1)).view_as(x)
        return (c_skip(level, sd) * x + c_out(level, sd) * inside) * self.mask

    @torch.no_grad()
    def fit_units(self, rows: Tensor) -> None:
        """Take mean and deviation of every column from tokens [R, D] of the data, in float64.

        Raises DataError for no rows, or a value that is not finite.
        """
        if len(rows) == 0 or not rows.isfinite().all():
            raise DataError("diffusion: need at least one row, and all of them finite, to take units from")
        raw = self._mapped(rows.double(), self.actions.encode)
        mean, std = raw.mean(0), raw.std(0, correction=0).clamp_min(STD_FLOOR)
        mean[-1], std[-1] = 0.0, 1.0
        self.mean.copy_(mean)
        self.std.copy_(std)

    def encode(self, tokens: Tensor) -> Tensor:
        """Tokens [..., D] in the data's units -> the model's."""
        return (self._mapped(tokens, self.actions.encode) - self.mean) / self.std

    def decode(self, x: Tensor) -> Tensor:
        """Inverse of encode, with actions in their bounds and padding at 0."""
        return self._mapped(self.mean + self.std * x, self.actions.decode) * self.mask[0]

    def _mapped(self, tokens: Tensor, fn: Any) -> Tensor:
        before, action, after = tokens.tensor_split(
            (self.shape.action_columns.start, self.shape.action_columns.stop), dim=-1
        )
        return torch.cat([before, fn(action), after], dim=-1)
