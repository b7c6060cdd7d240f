"""Random draws taken ahead of the step that uses them, so that the step itself is a function of tensors alone."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError
from mbrl.core.seeds import Streams

Draw = tuple[str, tuple[int, ...], torch.dtype, tuple[int, ...]]
"""(randn or rand, shape without S, dtype, places of the members that draw)."""


class Recorder(Streams):
    """Streams that draw as `streams` does, and keep a list of what was asked for."""

    def __init__(self, streams: Streams) -> None:
        super().__init__((), streams.purpose, streams.device)
        self.seeds, self.generators = streams.seeds, streams.generators
        self.places = tuple(range(len(streams)))
        self.draws: list[Draw] = []

    def randn(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal [S, *shape]."""
        self.draws.append(("randn", shape, dtype, self.places))
        return super().randn(*shape, dtype=dtype)

    def rand(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform on [0, 1), [S, *shape]."""
        self.draws.append(("rand", shape, dtype, self.places))
        return super().rand(*shape, dtype=dtype)

    def part(self, places: Sequence[int]) -> Streams:
        """The members at `places`, recorded in the same list."""
        chosen = Recorder(super().part(places))
        chosen.places, chosen.draws = tuple(self.places[place] for place in places), self.draws
        return chosen

    def permutation(self, n: int) -> Tensor:
        """Refused: see `unfit`."""
        raise unfit("permutation")

    def spawn(self, purpose: str) -> Streams:
        """Refused: see `unfit`."""
        raise unfit("spawn")


class Tape(Streams):
    """Hands out tensors that were filled before, in the order in which a recorded step asked for them.

    The tensors stay where they are, so a captured graph that read them once reads what `fill` put there since.
    """

    def __init__(self, recorded: Recorder) -> None:
        super().__init__((), recorded.purpose, recorded.device)
        self.seeds, self.generators = recorded.seeds, recorded.generators
        self.draws = tuple(recorded.draws)
        self.values = [
            torch.empty(len(places), *shape, dtype=dtype, device=recorded.device)
            for _, shape, dtype, places in self.draws
        ]
        self.places, self.whole, self.at = recorded.places, self, 0

    def fill(self) -> None:
        """Draw every value anew from the generators, in the recorded order, and start from the first."""
        for (kind, shape, dtype, places), value in zip(self.draws, self.values, strict=True):
            draw: Callable[..., Tensor] = getattr(super().part(places), kind)
            value.copy_(draw(*shape, dtype=dtype))
        self.at = 0

    def randn(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """The next recorded draw."""
        return self.whole._next(("randn", shape, dtype, self.places))

    def rand(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """The next recorded draw."""
        return self.whole._next(("rand", shape, dtype, self.places))

    def part(self, places: Sequence[int]) -> Streams:
        """The members at `places`, from the same tape."""
        chosen = copy.copy(self)
        chosen.seeds = tuple(self.seeds[place] for place in places)
        chosen.places = tuple(self.places[place] for place in places)
        return chosen

    def permutation(self, n: int) -> Tensor:
        """Refused: see `unfit`."""
        raise unfit("permutation")

    def spawn(self, purpose: str) -> Streams:
        """Refused: see `unfit`."""
        raise unfit("spawn")

    def _next(self, asked: Draw) -> Tensor:
        if self.at >= len(self.draws) or self.draws[self.at] != asked:
            raise unfit(f"{asked[0]} of shape {asked[1]} as draw {self.at}, not as in the step before")
        self.at += 1
        return self.values[self.at - 1]


def unfit(what: str) -> ConfigError:
    """The error for a step whose draws cannot be taken ahead."""
    return ConfigError(
        f"a step that draws {what} cannot be captured: take train.accelerate=eager (an oracle at every update, "
        "and models that simulate, are such steps)"
    )
