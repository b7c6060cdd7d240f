"""A dry run of a grid: how its points stand, and what those that are left would take; nothing is written."""

import json
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from io import StringIO
from typing import Any

import torch

from mbrl.conf.grid import GridPlan
from mbrl.conf.schema import Config
from mbrl.conf.stack import GridPoint
from mbrl.core.device import pick_device
from mbrl.core.errors import MbrlError
from mbrl.core.progress import duration
from mbrl.datasets import OfflineDataset
from mbrl.datasets.minari_data import read_minari
from mbrl.run.build.cost import Cost, cost_of
from mbrl.run.build.grid import report, state_of
from mbrl.run.build.model import fit_is_due, learned_conf
from mbrl.run.build.parts import dataset_from_config
from mbrl.run.result import ENDED

Measured = list[tuple[list[GridPoint], Cost | MbrlError]]
"""The points of each shape, and what one of them costs, or why that cannot be said."""
OPEN = (
    "out",
    "resume",
    "overwrite",
    "train.log_every",
    "train.checkpoint_every",
    "train.progress",
    "agent.label",
)
"""Settings that do not change what a point costs, as far as it is measured."""
LEFT_OUT = """\
Not in the time: loading data, importing, checkpoints, pictures, a compilation at the start, the pretraining and
model phases of RAMBO, the fit and the draws of a diffusion model, bias_states; that points share the machine.
Not in the memory: Python and PyTorch themselves, what an update or a rollout holds while it is under way.
An interrupted point counts as a whole one."""


def dry_run(plan: GridPlan) -> None:
    """Print the points, and times and memory measured here and now, one line for points of the same shape."""
    report(plan)
    left = [point for point in plan.points if state_of(point.config).status not in ENDED]
    if not left:
        return
    device = pick_device(left[0].config.device)
    print(f"\nMeasured now on {device} with {torch.get_num_threads()} threads; times are of one point:")
    print(f"{'points':>6} {'ms/update':>10} {'updates':>9} {'draws':>9} {'evaluation':>11} {'memory':>9}")
    datasets = Datasets()
    found: Measured = []
    for points in shapes(left):
        found.append((points, measured(points[0].config, datasets)))
        print(line(*found[-1]), flush=True)
    print(summary(found))
    print(models(found, datasets))
    print(LEFT_OUT)


def shapes(points: Iterable[GridPoint]) -> list[list[GridPoint]]:
    """The points by what decides their cost: everything but numbers that are factors, such as eta, of which only
    whether they are 0 counts."""
    found: dict[str, list[GridPoint]] = {}
    for point in points:
        found.setdefault(json.dumps(_shape(asdict(point.config)), sort_keys=True), []).append(point)
    return list(found.values())


def measured(config: Config, datasets: "Datasets") -> Cost | MbrlError:
    """What a point costs, or the error that it would end with."""
    try:
        with redirect_stdout(StringIO()):
            return cost_of(config, datasets(config))
    except MbrlError as error:
        return error


def _shape(node: Any, path: str = "") -> Any:
    """A configuration with factors as whether they are 0, seeds as how many there are, and without OPEN."""
    if isinstance(node, dict):
        inner = {key: (value, f"{path}.{key}".strip(".")) for key, value in node.items()}
        return {key: _shape(value, name) for key, (value, name) in inner.items() if name not in OPEN}
    if path == "seeds":
        return len(node)
    return node == 0 if isinstance(node, float) else node


class Datasets:
    """Each dataset read once, and none downloaded."""

    def __init__(self) -> None:
        self.found: dict[str, OfflineDataset] = {}

    def __call__(self, config: Config) -> OfflineDataset:
        """The dataset of a configuration. Raises DataError as reading it does."""
        key = json.dumps(asdict(config.dataset), sort_keys=True)
        if key not in self.found:
            kind, _, name = config.dataset.source.partition("/")
            if kind == "minari":
                read_minari(name, download=False)
            self.found[key] = dataset_from_config(config)
        return self.found[key]


def line(points: Sequence[GridPoint], cost: Cost | MbrlError) -> str:
    """One shape."""
    alike = points[0].name + (f" and {len(points) - 1} alike" if len(points) > 1 else "")
    if isinstance(cost, MbrlError):
        return f"{len(points):>6} cannot be estimated: {cost} ({alike})"
    times = f"{cost.update * 1000:>10.3g} {duration(cost.updates):>9} {duration(cost.draws):>9}"
    return f"{len(points):>6} {times} {'<= ' + duration(cost.looks):>11} {size(cost.bytes):>9}  {alike}"


def summary(found: Measured) -> str:
    """All points, one after the other; several processes share them out."""
    known = [(len(points), cost) for points, cost in found if isinstance(cost, Cost)]
    if not known:
        return "None of them can be estimated."
    total = sum(n * (cost.updates + (cost.draws or 0.0)) for n, cost in known)
    looks = sum(n * (cost.looks or 0.0) for n, cost in known)
    largest = max(cost.bytes for _, cost in known)
    return (
        f"All {sum(n for n, _ in known)} one after the other: {duration(total)}, and evaluations of at most "
        f"{duration(looks)}. The largest holds {size(largest)}."
    )


def models(found: Measured, datasets: Datasets) -> str:
    """How many models have to be fitted first, and what an epoch of the longest fit takes."""
    wanted: dict[str, tuple[Config, float]] = {}
    for points, cost in found:
        for config in (point.config for point in points if isinstance(cost, Cost) and cost.fit):
            conf = learned_conf(config)
            seeds = config.seeds if conf.per_seed else None
            key = json.dumps([asdict(config.dataset), asdict(conf), seeds], sort_keys=True)
            wanted[key] = (config, cost.fit)
    due = [fit for config, fit in wanted.values() if fit_is_due(config, datasets(config))]
    if not due:
        return "No dynamics model has to be fitted."
    return (
        f"Dynamics models to fit first: {len(due)}, each once. An epoch takes up to {duration(max(due))}; how "
        "many there are is known only where dynamics.max_epochs bounds them."
    )


def size(count: int) -> str:
    """Bytes as MiB or GiB."""
    return f"{count / 2**20:.3g} MiB" if count < 2**30 else f"{count / 2**30:.3g} GiB"
