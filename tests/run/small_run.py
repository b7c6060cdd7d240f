"""A whole training run in milliseconds, and what it learned."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mbrl.agents import AGENTS
from mbrl.core.checkpoint import flatten, load_tree
from mbrl.core.log import Row, read_metrics
from mbrl.core.types import Agent, Transitions
from mbrl.run.experience import MixedData, RealData
from mbrl.run.sources import ModelRollouts
from mbrl.run.train import Schedule, Trainer
from tests.fakes import Walk, random_transitions

SEEDS = (0, 1)
DATASET = {"id": "fake", "sha256": "ab", "transitions": 50}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "sac": ("sac", {}),
    "edac": ("sac", {"num_critics": 3, "eta": 1.0}),
    "bc": ("bc", {}),
}


def look(agent: Agent, update: int) -> dict[str, Tensor]:
    """An evaluation that depends on the weights alone."""
    obs = torch.linspace(-1, 1, 15).view(1, 5, 3)
    seeds = next(iter(agent.actor.parameters())).shape[0]
    return {"eval/return": agent.act(obs.expand(seeds, 5, 3)).sum((1, 2))}


def make_agent(kind: str = "edac", seeds: Sequence[int] = SEEDS, hidden: Sequence[int] = (8, 8)) -> Agent:
    name, options = KINDS[kind]
    return AGENTS[name](3, 2, seeds=seeds, hidden=hidden, **options)


def make_data() -> Transitions:
    dtype = torch.get_default_dtype()
    return random_transitions(50).map(lambda x: x.to(dtype) if x.is_floating_point() else x)


def make_experience(data: Transitions | None = None, **options: Any) -> MixedData:
    """A noisy walk that ends beyond 2, rolled out for 3 steps."""
    data = make_data() if data is None else data
    source = ModelRollouts(Walk(noise=0.1, ends=lambda s: s[..., 0] > 2), data, horizon=3)
    return MixedData(
        data,
        source,
        **{"batch_size": 8, "real_ratio": 0.25, "starts": 6, "retain": 2, "refresh_every": 4} | options,
    )


def small_run(
    folder: Path | str,
    updates: int,
    *,
    kind: str = "edac",
    seeds: Sequence[int] = SEEDS,
    agent: Agent | None = None,
    experience: RealData | MixedData | None = None,
    evaluate: Callable[[Agent, int], Mapping[str, Tensor]] | None = look,
    resume: bool = False,
    **schedule: Any,
) -> Trainer:
    """A trainer whose intervals do not divide each other: looks every 5, evaluations every 7, saves every 3."""
    plan = {"eval_every": 7, "log_every": 5, "checkpoint_every": 3, "progress": False} | schedule
    return Trainer(
        folder,
        agent or make_agent(kind, seeds),
        experience or make_experience(),
        Schedule(updates, **plan),
        seeds=seeds,
        dataset=DATASET,
        evaluate=evaluate,
        resume=resume,
    )


def learned(folder: Path, name: str = "checkpoint") -> dict[str, Tensor]:
    """Everything the checkpoint holds."""
    return flatten(load_tree(folder / name)[0])


def rows(folder: Path) -> list[Row]:
    return read_metrics(folder / "metrics.jsonl")


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """The same names with the same bits."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def train_until_killed(folder: str) -> None:
    """A run that saves after every update and goes on for ever; started in a process of its own."""
    small_run(folder, 10**9, resume=True, checkpoint_every=1).run()
