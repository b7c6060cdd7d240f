"""Policies stored as plain arrays in an npz file: a multilayer perceptron behind a standardised observation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mbrl.core.errors import DataError, MismatchError, unknown_name
from mbrl.core.npz import read_npz_arrays
from mbrl.core.seeds import Streams

HIDDEN: dict[str, Callable[[Tensor], Tensor]] = {"relu": functional.relu, "tanh": torch.tanh}
# What raw outputs leave to the environment, clipping, is done here too: actions of a policy lie in [-1, 1].
OUT: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "clip": lambda x: x.clamp(-1.0, 1.0),
    "raw": lambda x: x.clamp(-1.0, 1.0),
}
HORIZON = 1000
"""Episode length, in steps, that the time feature counts down."""


@dataclass(frozen=True)
class Layers:
    """A file's contents: weights [out, in] and biases [out] a layer, names of the activations, and

    mean, scale [I]: standardisation of the input; clip: bound on its absolute value afterwards; time: the
    last input is 1 - t / 1000; source: where the policy comes from.
    """

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    hidden: str
    out: str
    mean: np.ndarray
    scale: np.ndarray
    clip: float
    time: bool
    source: str


class FilePolicy:
    """Deterministic policy of a file, a core Policy for any stack and batch; computes in float64."""

    def __init__(self, layers: Layers, *, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.hidden, self.out = HIDDEN[layers.hidden], OUT[layers.out]
        self.clip, self.time, self.source = layers.clip, layers.time, layers.source
        self.weights = [self._tensor(w) for w in layers.weights]
        self.biases = [self._tensor(b) for b in layers.biases]
        self.mean, self.scale = self._tensor(layers.mean), self._tensor(layers.scale)
        self.obs_inputs = len(layers.mean) - layers.time
        self.action_dim = len(layers.biases[-1])
        self.t = 0

    def reset(self) -> None:
        """Begin an episode (for policies that know the time)."""
        self.t = 0

    def act(self, obs: Tensor, streams: Streams | None = None) -> Tensor:
        """Action [..., A] for obs [..., O]; there is nothing to sample, so `streams` goes unused.

        An observation shorter than the input is filled up with zeros; a longer one raises MismatchError.
        Policies of Ant-v2 and v3 take contact forces that were always zero there: give them Ant-v5 with
        include_cfrc_ext_in_observation=False.
        """
        missing = self.obs_inputs - obs.shape[-1]
        if missing < 0:
            raise MismatchError(f"the policy takes {self.obs_inputs} observations, got {obs.shape[-1]}")
        x = functional.pad(obs.double(), (0, missing))
        if self.time:
            x = torch.cat([x, torch.full_like(x[..., :1], 1.0 - self.t / HORIZON)], dim=-1)
        self.t += 1
        x = ((x - self.mean) / self.scale).clamp(-self.clip, self.clip)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = self.hidden(x @ weight.T + bias)
        return self.out(x @ self.weights[-1].T + self.biases[-1]).float()

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, dtype=torch.float64, device=self.device)


def load_policy(
    path: Path | str,
    *,
    obs_dim: int | None = None,
    action_dim: int | None = None,
    device: torch.device | str = "cpu",
) -> FilePolicy:
    """The policy in an npz file: keys W0, b0, W1, ..., hidden, out, obs_mean, obs_scale, obs_clip, time_feature,
    and optionally source.

    Raises DataError, naming file and key, for anything missing or malformed, and MismatchError if it does
    not fit obs_dim or action_dim.
    """
    policy = FilePolicy(read_layers(path), device=device)
    if action_dim not in (None, policy.action_dim):
        raise MismatchError(f"{path} gives {policy.action_dim} actions, {action_dim} are needed")
    if obs_dim is not None and obs_dim > policy.obs_inputs:
        raise MismatchError(f"{path} takes {policy.obs_inputs} observations, there are {obs_dim}")
    return policy


def read_layers(path: Path | str) -> Layers:
    """The checked contents of a policy file; errors as in `load_policy`."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no policy file {path}")
    return _checked(read_npz_arrays(path)[0], path)


def _checked(arrays: Mapping[str, np.ndarray], path: Path) -> Layers:
    count = sum(key[:1] == "W" and key[1:].isdigit() for key in arrays)
    weights = [_numbers(arrays, f"W{i}", 2, path) for i in range(max(count, 1))]
    biases = [_numbers(arrays, f"b{i}", 1, path) for i in range(len(weights))]
    mean, scale = (_numbers(arrays, key, 1, path) for key in ("obs_mean", "obs_scale"))
    inputs = len(mean)
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        if weight.shape != (len(bias), inputs):
            raise DataError(
                f"{path}: W{i} is {weight.shape}, but b{i} and the layer before ask for {(len(bias), inputs)}"
            )
        inputs = len(bias)
    if scale.shape != mean.shape or not (scale > 0).all():
        raise DataError(f"{path}: obs_scale must be positive, of shape {mean.shape}; it is {scale.shape}")
    clip = float(_numbers(arrays, "obs_clip", 0, path, finite=False))
    if not clip > 0:
        raise DataError(f"{path}: obs_clip is {clip}; a positive number or inf is needed")
    time = _single(arrays, "time_feature", path)
    if time.dtype != bool:
        raise DataError(f"{path}: time_feature is {time.dtype}; a bool is needed")
    return Layers(
        weights,
        biases,
        _name(arrays, "hidden", HIDDEN, path),
        _name(arrays, "out", OUT, path),
        mean,
        scale,
        clip,
        bool(time),
        str(arrays.get("source", "")),
    )


def _single(arrays: Mapping[str, np.ndarray], key: str, path: Path) -> np.ndarray:
    if key not in arrays:
        raise DataError(f"{path} has no key {key!r}; it has {', '.join(sorted(arrays))}")
    if arrays[key].shape != ():
        raise DataError(f"{path}: {key} is an array of shape {arrays[key].shape}; one value is needed")
    return arrays[key]


def _numbers(
    arrays: Mapping[str, np.ndarray], key: str, rank: int, path: Path, finite: bool = True
) -> np.ndarray:
    if key not in arrays:
        raise DataError(f"{path} has no key {key!r}; it has {', '.join(sorted(arrays))}")
    value = arrays[key]
    if value.ndim != rank or value.dtype.kind not in "fiu":
        raise DataError(f"{path}: {key} is {value.dtype} {value.shape}; {rank} axes of numbers are needed")
    if finite and not np.isfinite(value).all():
        raise DataError(f"{path}: {key} holds NaN or inf")
    return value.astype(np.float64)


def _name(arrays: Mapping[str, np.ndarray], key: str, known: Mapping[str, object], path: Path) -> str:
    name = str(_single(arrays, key, path))
    if name not in known:
        raise DataError(f"{path}: {unknown_name(key, name, known)}")
    return name
