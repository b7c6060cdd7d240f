"""A termination rule learned from the dataset's terminal flags, for environments whose rule is not known."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mbrl.core.errors import ConfigError, DataError, MismatchError
from mbrl.core.nets import StackedMLP
from mbrl.core.progress import progress as progress_bar
from mbrl.core.seeds import Streams
from mbrl.core.types import Transitions
from mbrl.datasets.normaliser import Normaliser
from mbrl.datasets.split import holdout_split


class LearnedTermination(nn.Module):
    """Classifier of (obs, action, next_obs), a ReLU network a seed: a Termination once it is fitted.

    One head (S_d == 1) serves inputs with any leading axes, a stack serves [S_d, B, ...]. A row with a value
    that is not finite is not called terminal: noticing it is the model's part.
    """

    def __init__(
        self,
        obs_dim: int,
        action_dim: int,
        *,
        seeds: Sequence[int] = (0,),
        hidden: Sequence[int] = (64, 64),
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.obs_dim, self.action_dim = obs_dim, action_dim
        self.seeds, self.hidden = tuple(int(s) for s in seeds), tuple(hidden)
        lead, size = (len(self.seeds),), 2 * obs_dim + action_dim
        self.net = StackedMLP(lead, (size, *self.hidden, 1), Streams(self.seeds, "termination.init"))
        self.normaliser = Normaliser(lead, size)
        self.to(device)

    def logit(self, features: Tensor) -> Tensor:
        """Log-odds of terminal [S_d, B] at features [S_d, B, 2 O + A], were half of all rows terminal."""
        return self.net(self.normaliser(features)).squeeze(-1)

    @torch.no_grad()
    def forward(self, obs: Tensor, action: Tensor, next_obs: Tensor) -> Tensor:
        """Terminal [..., B]."""
        features = torch.cat([obs, action, next_obs], dim=-1)
        stack = len(self.seeds)
        if stack > 1 and (features.dim() != 3 or len(features) != stack):
            raise MismatchError(
                f"a stack of {stack} termination heads takes [{stack}, B, O], got {tuple(obs.shape)}"
            )
        flat = features.reshape(stack, -1, features.shape[-1])
        return (self.logit(flat) > 0).view(features.shape[:-1])


@dataclass(frozen=True)
class TerminationReport:
    """Counts over each seed's hold-out rows: terminals found, terminals missed, and false alarms."""

    hits: list[int]
    misses: list[int]
    false_alarms: list[int]
    holdout_rows: int

    def summary(self) -> str:
        """One line for people."""
        return (
            f"learned termination, on {self.holdout_rows:,} held-out rows a seed: found {self.hits}, "
            f"missed {self.misses}, false alarms {self.false_alarms}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def fit_termination(
    head: LearnedTermination,
    transitions: Transitions,
    *,
    steps: int = 10_000,
    batch_size: int = 256,
    lr: float = 1e-3,
    holdout_fraction: float = 0.2,
    progress: bool = True,
) -> TerminationReport:
    """Fit on flat transitions [N] by binary cross-entropy, in place; return counts on held-out rows.

    Terminal rows are rare (a few in a thousand), so half of each batch is drawn from them and the decision is
    taken at even odds. That favours false alarms near the boundary over missed ends, since a rollout that
    misses an end goes on from states no episode ever reaches: on Hopper data 5 to 10 % of ends were missed with
    one false alarm in 200 to 500 rows, where training on unbalanced batches missed about 30 %.
    Raises DataError without at least two terminal and two other rows, MismatchError for other dims.
    """
    if steps < 1 or batch_size < 2 or lr <= 0:
        raise ConfigError(
            f"termination head: steps={steps} >= 1, batch_size={batch_size} >= 2, lr={lr} > 0 needed"
        )
    got = (transitions.obs_dim, transitions.action_dim)
    if got != (head.obs_dim, head.action_dim):
        raise MismatchError(
            f"termination head takes {head.obs_dim} obs and {head.action_dim} actions, got {got}"
        )
    t = transitions.to(next(head.parameters()).device)
    train, held = _split_by_flag(t.terminal, head.seeds, holdout_fraction)
    features = torch.cat([t.obs, t.action, t.next_obs], dim=-1).float()
    head.normaliser.fit(features, torch.cat(train, dim=-1))
    _train(head, features, train, steps, batch_size // 2, lr, progress)
    with torch.no_grad():
        said, truth = head.logit(features[held]) > 0, t.terminal[held]
    return TerminationReport(
        hits=(said & truth).sum(-1).tolist(),
        misses=(~said & truth).sum(-1).tolist(),
        false_alarms=(said & ~truth).sum(-1).tolist(),
        holdout_rows=held.shape[-1],
    )


def _split_by_flag(
    terminal: Tensor, seeds: Sequence[int], fraction: float
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """((terminal rows, other rows) to train on, rows held out of both), each [S_d, n], on terminal's device."""
    train, held = [], []
    for name, flag in (("terminal", terminal), ("other", ~terminal)):
        rows = flag.nonzero().squeeze(-1)
        if len(rows) < 2:
            raise DataError(
                f"the dataset has {len(rows)} {name} rows; a learned termination needs at least 2 to train and "
                "test on: choose the environment's own rule, or 'none' if episodes never end"
            )
        streams = Streams(seeds, f"termination.holdout.{name}")
        parts = holdout_split(len(rows), fraction=fraction, maximum=len(rows), streams=streams)
        for store, part in zip((train, held), parts, strict=True):
            store.append(rows[part.to(rows.device)])
    return (train[0], train[1]), torch.cat(held, dim=-1)


def _train(
    head: LearnedTermination,
    features: Tensor,
    pools: Sequence[Tensor],
    steps: int,
    half: int,
    lr: float,
    progress: bool,
) -> None:
    """Adam on balanced batches: half the rows from each pool [S_d, n], terminal rows first."""
    draws = Streams(head.seeds, "termination.batches")
    optimiser = torch.optim.Adam(head.net.parameters(), lr=lr, fused=True)
    target = torch.cat([torch.ones(half), torch.zeros(half)]).to(features.device).expand(len(head.seeds), -1)
    with progress_bar(steps, "termination", enabled=progress, unit="step") as bar:
        for _ in range(steps):
            picks = [pool.gather(1, draws.randint(pool.shape[1], half).to(pool.device)) for pool in pools]
            logit = head.logit(features[torch.cat(picks, dim=1)])
            loss = functional.binary_cross_entropy_with_logits(logit, target, reduction="none")
            optimiser.zero_grad(set_to_none=True)
            loss.mean(-1).sum().backward()
            optimiser.step()
            bar.update()
