"""Randomness as an argument: one generator a stacked seed, so that S stacked runs draw what S runs would."""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor


def child_seed(seed: int, *names: str) -> int:
    """A 63-bit seed for a named purpose, independent of every other name's (numpy's SeedSequence)."""
    keys = [zlib.crc32(name.encode()) for name in names]
    return int(np.random.SeedSequence([seed, *keys]).generate_state(1, np.uint64)[0] >> 1)


class Streams:
    """S random streams, one a seed; every draw has a leading S axis and slice s depends on seed s alone.

    So a seed sees the same numbers alone or in any stack, which is what makes a stack of runs equal to
    single runs. Draws happen on `device`; CPU and CUDA generators give different numbers.
    """

    def __init__(self, seeds: Sequence[int], purpose: str, device: torch.device | str = "cpu") -> None:
        self.seeds = tuple(int(s) for s in seeds)
        self.purpose = purpose
        self.device = torch.device(device)
        self.generators = [torch.Generator(self.device) for _ in self.seeds]
        for generator, seed in zip(self.generators, self.seeds, strict=True):
            generator.manual_seed(child_seed(seed, purpose))

    def __len__(self) -> int:
        return len(self.seeds)

    def randn(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal [S, *shape]."""
        out = torch.empty(len(self), *shape, dtype=dtype, device=self.device)
        for row, generator in zip(out, self.generators, strict=True):
            row.normal_(generator=generator)
        return out

    def rand(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform on [0, 1), [S, *shape]."""
        out = torch.empty(len(self), *shape, dtype=dtype, device=self.device)
        for row, generator in zip(out, self.generators, strict=True):
            row.uniform_(generator=generator)
        return out

    def randint(self, high: int | Tensor, *shape: int) -> Tensor:
        """Uniform on {0, .., high - 1}, [S, *shape] int64; a tensor high [S] needs no host sync.

        Drawn as floor(u * high) from 53-bit uniforms, so the bias for high < 2**31 is below 1e-6.
        """
        u = self.rand(*shape, dtype=torch.float64)
        if not isinstance(high, Tensor):
            high = torch.full((), high, device=self.device)
        bound = high.double()
        bound = bound.reshape(bound.shape + (1,) * (u.dim() - bound.dim()))
        return (u * bound).long().clamp_max_((bound - 1).long())

    def permutation(self, n: int) -> Tensor:
        """A random order of 0..n-1 a seed, [S, n] int64."""
        return torch.stack([torch.randperm(n, generator=g, device=self.device) for g in self.generators])

    def part(self, places: Sequence[int]) -> "Streams":
        """The streams of the members at `places` alone, [len(places), ...] a draw; the others' stand still."""
        chosen = Streams((), self.purpose, self.device)
        chosen.seeds = tuple(self.seeds[place] for place in places)
        chosen.generators = [self.generators[place] for place in places]
        return chosen

    def spawn(self, purpose: str) -> "Streams":
        """New streams for a task of open length: one draw a seed here, however many there.

        A seed's task may be over before its neighbours' are. What it draws from here must not depend on them.
        """
        device = self.device
        drawn = [torch.randint(2**62, (), generator=g, device=device) for g in self.generators]
        return Streams([int(seed) for seed in drawn], purpose, device)

    def state_dict(self) -> dict[str, Tensor]:
        """Generator states [S, bytes] uint8."""
        return {"state": torch.stack([g.get_state() for g in self.generators])}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from saved states."""
        for generator, row in zip(self.generators, state["state"], strict=True):
            # A copy: set_state ignores the storage offset of a row, and reads past the end.
            generator.set_state(row.cpu().clone())
