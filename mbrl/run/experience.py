"""What the agent learns from: real rows and synthetic rows, mixed at a fixed ratio."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mbrl.core.errors import ConfigError, DivergenceError
from mbrl.core.per_member import PerMember, listed
from mbrl.core.seeds import Streams
from mbrl.core.types import Perishable, Policy, Reporting, Source, Stateful, Transitions, concatenate
from mbrl.datasets.buffer import RefreshBuffer


class RealData:
    """Model-free experience: batches of the dataset alone."""

    refresh_every = None
    synthetic = None

    def __init__(self, data: Transitions, *, batch_size: int = 256) -> None:
        """data: flat rows [B, ...] on the agent's device."""
        self.data, self.batch_size = data, batch_size

    def real(self, n: int, streams: Streams) -> Transitions:
        """n rows of the dataset a seed, with replacement, [S, n, ...]."""
        return self.data[streams.randint(len(self.data), n)]

    def sample(self, streams: Streams) -> Transitions:
        """A batch [S, batch_size, ...]."""
        return self.real(self.batch_size, streams)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the dataset is not state."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to load."""


class Share(NamedTuple):
    """Members whose batches have as many real rows: how many, and their places, as a tensor [M], too."""

    real: int
    places: tuple[int, ...]
    members: Tensor


class MixedData:
    """Rows of the dataset (a share real_ratio) and of a synthetic buffer that a source refills."""

    def __init__(
        self,
        data: Transitions,
        source: Source,
        *,
        batch_size: int = 256,
        real_ratio: PerMember = 0.05,
        starts: int = 50_000,
        retain: int = 5,
        refresh_every: int = 1000,
    ) -> None:
        """starts * source.horizon rows a refresh, every refresh_every updates, the last `retain` refreshes kept.

        The real share is int(batch_size * real_ratio) rows, as in MBPO (12 of 256 at .05), for one ratio or one a
        seed. Raises ConfigError for a ratio outside [0, 1] or a count below 1.
        """
        counts = {"starts": starts, "retain": retain, "refresh_every": refresh_every}
        for name, count in counts.items():
            if count < 1:
                raise ConfigError(f"{name}={count}: must be at least 1")
        ratios = list(real_ratio) if isinstance(real_ratio, Sequence) else [real_ratio]
        if not all(0 <= ratio <= 1 for ratio in ratios):
            raise ConfigError(f"real_ratio={real_ratio}: a share lies between 0 and 1")
        self.dataset = RealData(data, batch_size=batch_size)
        self.source, self.starts, self.refresh_every = source, starts, refresh_every
        self.real_ratio = real_ratio
        self.shares = _shares([int(batch_size * ratio) for ratio in ratios], data.obs.device)
        # Where each member stands once the shares are put one after the other.
        self.order = torch.cat([share.members for share in self.shares]).argsort()
        self.synthetic = RefreshBuffer(retain, starts * source.horizon)
        self.reported: dict[str, Tensor] = {}

    def real(self, n: int, streams: Streams) -> Transitions:
        """n rows of the dataset a seed, [S, n, ...]."""
        return self.dataset.real(n, streams)

    def refresh(self, policy: Policy, streams: Streams) -> dict[str, Tensor]:
        """Draw new synthetic rows with the current policy; metrics [S], which `reported` holds as well.

        Raises DivergenceError, when all is done for the others, that names the members without a living row and
        those whose source has diverged; and ConfigError for real ratios of another number of seeds.
        """
        listed("real_ratio", self.real_ratio, len(streams))
        rows, alive = self.source.draw(policy, self.starts, streams)
        self.synthetic.add(rows, alive)
        count = alive.sum(-1).double()
        reward = torch.where(alive, rows.reward, 0.0).sum(-1) / count
        ended = (alive & rows.terminal).sum(-1) / count
        share = count / alive.shape[-1]
        own = self.source.metrics() if isinstance(self.source, Reporting) else {}
        self.reported = {"source/alive": share, "source/reward_mean": reward, "source/terminal": ended, **own}
        lost = self._lost(count, streams.seeds)
        if lost:
            raise DivergenceError("; ".join(lost.values()), members=lost)
        return self.reported

    def sample(self, streams: Streams) -> Transitions:
        """A batch [S, batch_size, ...], real rows first.

        Members with as many real rows draw together; what each one draws is what it would draw alone.
        """
        if len(self.shares) == 1:
            return self._batch(self.shares[0].real, streams)
        parts = [self._batch(real, streams.part(places), members) for real, places, members in self.shares]
        return concatenate(parts, axis=0)[self.order]

    def _batch(self, real: int, streams: Streams, members: Tensor | None = None) -> Transitions:
        """Rows [M, batch_size, ...] of members with the same share, all by default."""
        synthetic = self.synthetic.sample(self.dataset.batch_size - real, streams, members)
        return synthetic if real == 0 else concatenate([self.real(real, streams), synthetic])

    def _lost(self, count: Tensor, seeds: Sequence[int]) -> dict[int, str]:
        """{place: diagnosis} of members that the latest draw left without rows, or whose source says so itself."""
        why = "no finite row in a whole refresh: the model or the policy has diverged"
        dead = [] if bool((count > 0).all()) else (count == 0).nonzero().flatten().tolist()
        own = self.source.diverged if isinstance(self.source, Perishable) else {}
        return {place: f"seed {seeds[place]}: {why}" for place in dead} | dict(own)

    def state_dict(self) -> dict[str, Any]:
        """The synthetic rows, since earlier policies drew them and they cannot be drawn again; the source's own."""
        own = {"source": self.source.state_dict()} if isinstance(self.source, Stateful) else {}
        return {"synthetic": self.synthetic.state_dict(), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of state_dict. Raises KeyError where a source with a state finds none."""
        self.synthetic.load_state_dict(state.get("synthetic", {}), self.dataset.data.obs.device)
        if isinstance(self.source, Stateful):
            # A source whose state is empty for now leaves no trace in a checkpoint.
            self.source.load_state_dict(state.get("source", {}))


def _shares(counts: Sequence[int], device: torch.device) -> list[Share]:
    """The members [S] by their number of real rows."""
    places = {real: tuple(i for i, count in enumerate(counts) if count == real) for real in counts}
    return [Share(real, mine, torch.tensor(mine, device=device)) for real, mine in places.items()]
