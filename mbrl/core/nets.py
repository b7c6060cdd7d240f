"""Stacked networks: S seeds and E members lead one set of weights, one batched product a layer."""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from mbrl.core.errors import ConfigError, unknown_name
from mbrl.core.seeds import Streams

Init = Callable[["StackedLinear", Streams], None]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}
IN_PLACE: dict[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]] = {
    functional.relu: torch.relu_,
    functional.silu: partial(functional.silu, inplace=True),
    torch.tanh: torch.tanh_,
}
"""The same, overwriting their argument."""

BLOCK_ROWS = {"cpu": 1024}
"""Rows at a time without a gradient, by kind of device: on a CPU what a layer makes of them stays in the cache."""
MOST_ROWS = 1 << 16
"""The same for any other kind, where it bounds memory."""


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W + b [L, B, O] for x [L, B, I], weight [L, I, O], bias [L, 1, O]; one column makes a poor product."""
    if weight.shape[-1] == 1:
        return (x * weight.transpose(1, 2)).sum(dim=-1, keepdim=True) + bias
    return torch.baddbmm(bias, x, weight)


class StackedLinear(nn.Module):
    """Independent affine maps: x [*lead, B, I] -> [*lead, B, O], weight [*lead, I, O], bias [*lead, 1, O].

    Axes of x before B may also be 1 where they are to be shared by the stack.
    """

    def __init__(self, lead: Sequence[int], fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.lead = tuple(lead)
        self.fan_in, self.fan_out = fan_in, fan_out
        self.weight = nn.Parameter(torch.zeros(*self.lead, fan_in, fan_out))
        self.bias = nn.Parameter(torch.zeros(*self.lead, 1, fan_out))

    def forward(self, x: Tensor) -> Tensor:
        """Batched affine map as one fused product over the flattened lead, in x's type."""
        if x.shape[:-2] != self.lead:
            x = x.expand(*self.lead, *x.shape[-2:])
        weight, bias = self.weight.flatten(0, -3).to(x.dtype), self.bias.flatten(0, -3).to(x.dtype)
        out = affine(x.reshape(-1, *x.shape[-2:]), weight, bias)
        return out.view(*self.lead, *out.shape[-2:])

    def extra_repr(self) -> str:
        return f"{self.lead} x ({self.fan_in} -> {self.fan_out})"


def torch_default(layer: StackedLinear, streams: Streams) -> None:
    """nn.Linear's initialisation: weight and bias U(-1/sqrt(I), 1/sqrt(I))."""
    uniform(1 / math.sqrt(layer.fan_in))(layer, streams)


def uniform(bound: float) -> Init:
    """Weight and bias U(-bound, bound)."""

    def init(layer: StackedLinear, streams: Streams) -> None:
        with torch.no_grad():
            for p in (layer.weight, layer.bias):
                p.copy_((2 * streams.rand(*p.shape[1:]) - 1) * bound)

    return init


def hidden_bias(value: float) -> Init:
    """nn.Linear's weights with a constant bias (0.1 in EDAC, An et al. 2021, official code)."""

    def init(layer: StackedLinear, streams: Streams) -> None:
        torch_default(layer, streams)
        with torch.no_grad():
            layer.bias.fill_(value)

    return init


def truncated_normal(layer: StackedLinear, streams: Streams) -> None:
    """Normal with std 1/(2 sqrt(I)) cut at two std, bias 0 (PETS, Chua et al. 2018; MBPO).

    By the inverse distribution function, so each seed takes a fixed number of draws from its stream.
    """
    std = 1 / (2 * math.sqrt(layer.fan_in))
    low = 0.5 * (1 + math.erf(-2 / math.sqrt(2)))
    with torch.no_grad():
        u = low + (1 - 2 * low) * streams.rand(*layer.weight.shape[1:], dtype=torch.float64)
        layer.weight.copy_(std * torch.special.ndtri(u).clamp(-2, 2))
        layer.bias.zero_()


class StackedMLP(nn.Module):
    """Perceptrons in parallel: x [*lead, B, sizes[0]] -> [*lead, B, sizes[-1]], linear at the end.

    Raises ConfigError for an activation that is not in ACTIVATIONS.
    """

    product_dtype: torch.dtype | None = None
    """What layers compute in, where it is not the weights' own type (mbrl.core.precision)."""

    def __init__(
        self,
        lead: Sequence[int],
        sizes: Sequence[int],
        streams: Streams,
        *,
        activation: str = "relu",
        init: Init = torch_default,
        init_last: Init | None = None,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ConfigError(unknown_name("activation", activation, ACTIVATIONS))
        self.activation = ACTIVATIONS[activation]
        self.layers = nn.ModuleList(StackedLinear(lead, i, o) for i, o in itertools.pairwise(sizes))
        for layer in self.layers[:-1]:
            init(layer, streams)
        (init_last or init)(self.layers[-1], streams)

    def forward(self, x: Tensor) -> Tensor:
        """All layers; the result has x's type. Without a gradient, long inputs go through in blocks of rows."""
        if torch.is_grad_enabled():
            return self._layers(x, self.activation)
        in_place = IN_PLACE.get(self.activation, self.activation)
        count = -(-x.shape[-2] // BLOCK_ROWS.get(x.device.type, MOST_ROWS))
        if count <= 1:
            return self._layers(x, in_place)
        # All about as long: products of a few rows may round otherwise than those of many.
        return torch.cat([self._layers(part, in_place) for part in x.tensor_split(count, dim=-2)], dim=-2)

    def _layers(self, x: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
        *hidden, last = self.layers
        dtype = x.dtype
        x = x.to(self.product_dtype or dtype)
        for layer in hidden:
            x = activation(layer(x))
        return last(x).to(dtype)

    def flat_layers(self) -> list[tuple[Tensor, Tensor]]:
        """(weight [L, I, O], bias [L, 1, O]) of every layer in the type it computes in; L counts all networks."""
        return [
            (w.to(self.product_dtype or w.dtype), b.to(self.product_dtype or b.dtype))
            for w, b in ((layer.weight.flatten(0, -3), layer.bias.flatten(0, -3)) for layer in self.layers)
        ]
