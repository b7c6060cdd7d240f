"""A policy as a file of its own: TorchScript, which runs where torch does, without this project."""

import io
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from mbrl.core.errors import MismatchError
from mbrl.core.files import write_output
from mbrl.core.types import Policy

TOLERANCE = 1e-5
"""How far an exported action may be from the policy's own: products of another number of rows round otherwise."""
TRIED = (1, 3, 64)
"""Batch sizes at which the two are compared."""


class Deterministic(nn.Module):
    """A policy of one seed as a module: action [B, A] for obs [B, O], of several agents [B, N, A] for [B, N, O]."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, obs: Tensor) -> Tensor:
        return self.policy.act(obs.unsqueeze(0)).squeeze(0)


def export_policy(policy: Policy, path: Path | str, obs_shape: tuple[int, ...]) -> float:
    """Write the deterministic policy as TorchScript: float32 obs [B, *obs_shape] to actions in [-1, 1].

    policy: one seed's, on the CPU. Returns the largest difference found between the file's actions and its own, at
    random observations of several batch sizes. Raises MismatchError where that is more than TOLERANCE, as of a
    policy with a memory, or one that goes by the number of rows; ConfigError for a file that cannot be written.
    """
    path = Path(path)
    example = torch.zeros(2, *obs_shape)
    with torch.no_grad(), warnings.catch_warnings():
        # Deprecated in favour of formats that change between versions; this one torch and libtorch read since 1.0.
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        # Branches on shapes, which only choose how rows are blocked; the comparison below has other shapes.
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        script = torch.jit.trace(_frozen(policy), example, check_trace=False)
        difference = _difference(script, policy, obs_shape)
        if not difference <= TOLERANCE:
            raise MismatchError(
                f"{path}: the exported actions are up to {difference:.3g} from the policy's own, more than "
                f"{TOLERANCE}; only networks can be exported"
            )
        buffer = io.BytesIO()
        torch.jit.save(script, buffer)
    write_output(path, buffer.getvalue())
    return difference


def _frozen(policy: Policy) -> Deterministic:
    """Its networks as constants: a graph cannot hold what might still be trained."""
    for value in vars(policy).values():
        if isinstance(value, nn.Module):
            value.requires_grad_(False)
    return Deterministic(policy).eval()


def _difference(script: nn.Module, policy: Policy, obs_shape: tuple[int, ...]) -> float:
    generator, found = torch.Generator().manual_seed(0), []
    for rows in TRIED:
        obs = 3 * torch.randn(rows, *obs_shape, generator=generator)
        expected = policy.act(obs.unsqueeze(0)).squeeze(0)
        found.append((script(obs) - expected).abs().max().item())
    return max(found)
