"""What a configuration costs on this machine: a few of its own updates, draws and evaluation steps, timed."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from mbrl.conf.schema import Config, EnsembleConf
from mbrl.conf.stack import whole
from mbrl.core.device import pick_device
from mbrl.core.types import Dynamics, Transitions
from mbrl.datasets import OfflineDataset
from mbrl.dynamics import never, termination_for
from mbrl.dynamics.fit import fit
from mbrl.run.build.agent import learner_from_config
from mbrl.run.build.edge import oracle_from_config
from mbrl.run.build.model import dynamics_from_config, fit_options, learned_conf, unfitted
from mbrl.run.build.parts import evaluation_from_config, experience_from_config
from mbrl.run.build.source import needs_model, source_from_config
from mbrl.run.build.speed import mode_from_config, precision_from_config
from mbrl.run.envs import max_steps
from mbrl.run.learning import Learning

ROWS, STARTS, LOOK = 4096, 500, 20
"""Rows of the dataset that are used, start states of the draw that is timed, steps of the evaluation that is."""
SECONDS, UPDATES = 1.0, 50
"""Updates are timed for so long, or so many."""


@dataclass(frozen=True)
class Cost:
    """Of one point. Seconds: of all updates, of drawing all synthetic rows, of all evaluations at their longest,
    None where that is not known; `fit`: of one epoch of the model that rollouts draw from, 0.0 where none is
    fitted. bytes: of the dataset, what the agent and the model hold, and the synthetic buffer when full."""

    update: float
    updates: float
    draws: float | None
    looks: float | None
    fit: float
    bytes: int


def cost_of(config: Config, dataset: OfflineDataset) -> Cost:
    """Measure a configuration; nothing is written, and no model is fitted but for one epoch on a few rows.

    An ensemble that rollouts need is taken as it is before a fit. Raises what making the parts raises.
    """
    device = pick_device(config.device)
    full, held, config = len(dataset), tensor_bytes(dataset.transitions), whole(config)
    dataset = some_rows(dataset)
    dynamics = _dynamics(config, dataset, device)
    learning = _learning(config, dataset, dynamics, device)
    draws, buffer = _draws(config, learning)
    update = _update(learning, device)
    parts = [learning.agent.state_dict(), getattr(dynamics, "state_dict", dict)()]
    total = held + buffer + sum(tensor_bytes(part) for part in parts)
    epoch = _epoch(config, dataset, device) * full / len(dataset)
    updates = update * config.train.updates
    return Cost(update, updates, draws, _looks(config, dataset, learning.agent, device), epoch, total)


def some_rows(dataset: OfflineDataset) -> OfflineDataset:
    """The same dataset with ROWS of its rows at random, all where it has fewer."""
    if len(dataset) <= ROWS:
        return dataset
    rows = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))[:ROWS].sort().values
    kept = {name: getattr(dataset, name)[rows] for name in ("transitions", "episode", "successor_known")}
    return replace(dataset, **kept)


def tensor_bytes(node: Any) -> int:
    """Bytes of the tensors in a record or in a tree as `state_dict` gives it."""
    if isinstance(node, Tensor):
        return node.nbytes
    if isinstance(node, Transitions):
        node = {f.name: getattr(node, f.name) for f in fields(node)}
    inner = node.values() if isinstance(node, Mapping) else node if isinstance(node, list | tuple) else ()
    return sum(map(tensor_bytes, inner))


def _dynamics(config: Config, dataset: OfflineDataset, device: torch.device) -> Dynamics | None:
    """What rollouts draw from: an ensemble that knows nothing, or the simulator; None where none is needed, or
    where one cannot be had without a fit."""
    if not needs_model(config):
        return None
    if not isinstance(config.dynamics, EnsembleConf):
        return None if learned_conf(config) else dynamics_from_config(config, dataset, device)
    known = config.dynamics.termination == "auto" and dataset.env is not None
    return unfitted(config, dataset, device, termination_for(dataset.env) if known else never)


def _learning(
    config: Config, dataset: OfflineDataset, dynamics: Dynamics | None, device: torch.device
) -> Learning:
    """Agent and experience as training makes them, with few start states; rows of the dataset stand in for those of
    a source that would need a fit."""
    agent = learner_from_config(config, dataset, dynamics, device)
    precision_from_config(config, device, agent, dynamics)
    source = None
    if config.source.name != "none":
        few = replace(config, source=replace(config.source, starts=min(config.source.starts, STARTS)))
        if dynamics is None and config.source.name != "pjap":
            source = Repeated(dataset.transitions.to(device), getattr(config.source, "horizon", 1))
        else:
            oracle = oracle_from_config(few, dataset, device)
            source = source_from_config(few, dataset, dynamics, device, oracle=oracle)
        config = few
    experience = experience_from_config(config, dataset, source, device)
    return Learning(agent, experience, config.seeds, device, mode_from_config(config, device))


class Repeated:
    """A source of rows of the dataset itself, which cost next to nothing to draw."""

    def __init__(self, data: Transitions, horizon: int) -> None:
        self.data, self.horizon = data, horizon

    def draw(self, policy: Any, n: int, streams: Any) -> tuple[Transitions, Tensor]:
        """Rows [S, n * horizon, ...], all alive."""
        index = streams.randint(len(self.data), n * self.horizon)
        return self.data[index], torch.ones_like(index, dtype=torch.bool)


def _draws(config: Config, learning: Learning) -> tuple[float | None, int]:
    """Seconds of all refreshes, and bytes of the full synthetic buffer, both by the rows of a small draw."""
    if config.source.name == "none":
        return 0.0, 0
    learning.refresh()
    scale = config.source.starts / learning.experience.starts
    often = -(-config.train.updates // config.source.refresh_every)
    held = int(tensor_bytes(learning.experience.synthetic.storage) * scale)
    stands_in = isinstance(learning.experience.source, Repeated)
    return (None if stands_in else learning.refresh_seconds * scale * often), held


def _update(learning: Learning, device: torch.device) -> float:
    """Seconds of an update, once the first few are done."""
    for _ in range(3):
        learning.step()
    done, began = 0, time.perf_counter()
    while done < UPDATES and time.perf_counter() - began < SECONDS:
        learning.step()
        _finish(device)
        done += 1
    return (time.perf_counter() - began) / done


def _looks(config: Config, dataset: OfflineDataset, agent: Any, device: torch.device) -> float | None:
    """Seconds of all evaluations if no episode ends before its cap; None without a cap."""
    if dataset.env is None:
        return 0.0
    cap = config.train.eval_max_steps or max_steps(dataset.env)
    if cap is None:
        return None
    short = replace(config.train, eval_max_steps=min(cap, LOOK), bias_states=0)
    look = evaluation_from_config(replace(config, train=short), dataset, device)
    look(agent, 0)  # the first builds what later ones reuse
    seconds = _timed(lambda: look(agent, 1))
    return seconds * cap / min(cap, LOOK) * (config.train.updates // config.train.eval_every + 1)


def _epoch(config: Config, dataset: OfflineDataset, device: torch.device) -> float:
    """Seconds of an epoch of a fit to these rows; 0.0 where nothing is fitted."""
    conf = learned_conf(config)
    if conf is None or not needs_model(config):
        return 0.0
    model = unfitted(replace(config, dynamics=conf), dataset, device, never)
    options = {**fit_options(conf), "max_epochs": 1, "progress": False}
    return _timed(lambda: fit(model, dataset.with_successor(), **options))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _finish(device: torch.device) -> None:
    """Wait for the device, so that its work is in the time."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
